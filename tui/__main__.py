"""`python -m tui` is `sonar-explore`."""

from tui.cli import main

if __name__ == "__main__":
    main()
