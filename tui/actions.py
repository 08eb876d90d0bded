"""Every action of the screen in one registry: its keys, and what the footer, the help and the palette say.

Adding one is an entry here and a method `action_<name>` on the class that its place names.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from textual.binding import Binding, BindingType

from engine.store.records import RunRecord, Status


class Place(StrEnum):
    """Where an action's keys work; the value is the heading in the help."""

    EXPLORER = "Anywhere on the main screen"
    RUNS = "In the list of runs"
    FILTER = "In the filter of the list"
    TABLE = "In the trajectory table"
    ROW = "In an opened row"
    COPY = "When it asks what to copy"
    EXPORT = "When it asks where to write z"
    EXPORT_RUNS = "When it asks what to export"
    VECTORS = "In a list of vectors"
    NEAREST = "Among the nearest vectors"
    CHART = "In the full-screen chart"
    COMPARE = "In a comparison of runs"
    GAP = "In the gap view of a run"
    FORM = "In the form for a new run"
    CHOICE = "On a choice in that form"
    PRESET_NAME = "When it asks for a preset's name"
    QUESTION = "When it asks whether to stop"
    VERIFICATION = "While a run is verified"
    DIALOG = "In a dialog about the selected run"
    BREAK_POINTS = "In the dialog for break-points"
    LOG = "In the log"
    SESSIONS = "In the list of sessions"
    SESSION_FILTER = "In the filter of that list"
    SEARCH = "In the search over all texts"
    NAMING = "When it asks for a name"
    NOTES = "In the notes of a session"
    REPLAY = "In a replay"
    HELP = "In this help"


@dataclass(frozen=True)
class Action:
    """One thing that a key does."""

    name: str
    place: Place
    keys: str
    """Textual's names of the keys, with commas between them."""

    shown_key: str
    """How the key is written for people."""

    label: str
    """One or two words, for the footer and the palette."""

    help: str
    """One line."""

    footer: str = ""
    """What the footer says, key included; empty for what is only in the help and the palette."""


ACTIONS: tuple[Action, ...] = (
    Action("new_run", Place.EXPLORER, "n", "n", "new run", "Describe a new run and start it", footer="n new"),
    Action(
        "run_published",
        Place.EXPLORER,
        "p",
        "p",
        "published experiment",
        "Start the published experiment at once",
        footer="p published",
    ),
    Action(
        "toggle_pause",
        Place.EXPLORER,
        "space",
        "space",
        "pause or go on",
        "Pause the selected run, or let it go on",
        footer="space pause",
    ),
    Action(
        "raise_lr",
        Place.EXPLORER,
        "plus,equals_sign",
        "+",
        "learning rate up",
        "Raise the learning rate by a quarter",
        footer="+/- lr",
    ),
    Action(
        "lower_lr",
        Place.EXPLORER,
        "minus",
        "-",
        "learning rate down",
        "Take the learning rate back by a quarter",
    ),
    Action("stop", Place.EXPLORER, "s", "s", "stop", "Stop the selected run; asks first", footer="s stop"),
    Action(
        "resume",
        Place.EXPLORER,
        "r",
        "r",
        "resume",
        "Go on with a run that was paused or stopped, failed or crashed",
        footer="r resume",
    ),
    Action("step", Place.EXPLORER, "full_stop", ".", "one step", "Make one step, then pause"),
    Action("run_more", Place.EXPLORER, "f", "f", "some steps", "Make a number of steps, then pause"),
    Action("run_to", Place.EXPLORER, "g", "g", "to a step", "Go on to a step, then pause"),
    Action("extend", Place.EXPLORER, "e", "e", "extend", "Add steps to what the run was asked for"),
    Action("set_lr", Place.EXPLORER, "L", "L", "learning rate", "Set the learning rate; shows its changes"),
    Action("set_weights", Place.EXPLORER, "w", "w", "weights", "Change the weights of the loss terms"),
    Action("break_points", Place.EXPLORER, "b", "b", "break-points", "Say when it is to pause by itself"),
    Action(
        "replay",
        Place.EXPLORER,
        "R",
        "R",
        "replay",
        "Play the run again, from the start or the row",
        footer="R replay",
    ),
    Action(
        "fork",
        Place.EXPLORER,
        "F",
        "F",
        "fork",
        "Start a new run from the row that the cursor is on",
        footer="F fork",
    ),
    Action(
        "browse",
        Place.EXPLORER,
        "B",
        "B",
        "sessions",
        "All sessions, and a search over all texts",
        footer="B sessions",
    ),
    Action("verify", Place.EXPLORER, "V", "V", "verify", "Make the run again and compare it with its record"),
    Action("export", Place.EXPLORER, "E", "E", "export", "Write runs or their session to a file"),
    Action("log", Place.EXPLORER, "o", "o", "log", "Show what happened to the run, and its worker's log"),
    Action(
        "toggle_runs",
        Place.EXPLORER,
        "l",
        "l",
        "list of runs",
        "Hide or show the list of runs",
        footer="l list",
    ),
    Action(
        "compare",
        Place.EXPLORER,
        "X",
        "X",
        "compare",
        "Show the marked runs side by side",
        footer="X compare",
    ),
    Action("gap", Place.EXPLORER, "G", "G", "gap", "What z says, and what comes of z and of its text"),
    Action("next_chart", Place.EXPLORER, "c", "c", "other figure", "Draw terms, similarity, lr … instead"),
    Action("toggle_log", Place.EXPLORER, "y", "y", "log scale", "Draw it on a logarithmic scale, or not"),
    Action("open_chart", Place.EXPLORER, "C", "C", "chart", "Show the figure on the whole screen"),
    Action("filter", Place.EXPLORER, "slash", "/", "filter", "Show only runs with certain words or numbers"),
    Action("sort", Place.EXPLORER, "S", "S", "order", "Order: newest, loss, similarity, first match, name"),
    Action("next_pane", Place.EXPLORER, "tab", "tab", "other pane", "Move between the list and the table"),
    Action("cycle_theme", Place.EXPLORER, "t", "t", "theme", "Change the colours to the next theme"),
    Action(
        "copy_command",
        Place.EXPLORER,
        "ctrl+y",
        "ctrl+y",
        "copy command",
        "Copy the command line that makes the selected run again",
    ),
    Action("palette", Place.EXPLORER, "ctrl+p", "ctrl+p", "palette", "Find an action by its name"),
    Action("help", Place.EXPLORER, "question_mark,f1", "?", "help", "Show this help", footer="? help"),
    Action(
        "leave", Place.EXPLORER, "q", "q", "leave", "Leave; runs go on without the screen", footer="q leave"
    ),
    Action(
        "leave_and_stop",
        Place.EXPLORER,
        "Q",
        "Q",
        "leave and stop",
        "Leave and stop the worker; asks first when a run goes on",
    ),
    Action("previous_run", Place.RUNS, "up,k", "↑", "previous run", "Select the run above"),
    Action("next_run", Place.RUNS, "down,j", "↓", "next run", "Select the run below"),
    Action("newest_run", Place.RUNS, "home", "home", "newest run", "Select the newest run"),
    Action("oldest_run", Place.RUNS, "end", "end", "oldest run", "Select the oldest run"),
    Action("page_up", Place.RUNS, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.RUNS, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action(
        "open_run", Place.RUNS, "enter", "enter", "open", "Go to the run's table; open or close a session"
    ),
    Action("expand", Place.RUNS, "right", "→", "into", "Open a session; go to the run's table"),
    Action("collapse", Place.RUNS, "left", "←", "out of", "Close a session; go up from a run"),
    Action("mark", Place.RUNS, "x", "x", "mark", "Mark the run to compare it, or take its mark away"),
    Action("delete", Place.RUNS, "delete", "del", "delete", "Delete the run, or the session with its runs"),
    Action("undo", Place.RUNS, "u", "u", "undo", "Bring back what was deleted last"),
    Action("rename", Place.RUNS, "f2", "f2", "name", "Name the run, or move it to another session"),
    Action("clear_filter", Place.RUNS, "escape", "esc", "no filter", "Show all runs again"),
    Action("next_chart", Place.CHART, "c", "c", "other figure", "Draw the next figure"),
    Action("toggle_log", Place.CHART, "y", "y", "log", "Draw it on a logarithmic scale, or not"),
    Action("zoom_in", Place.CHART, "plus,equals_sign", "+", "closer", "Show fewer steps"),
    Action("zoom_out", Place.CHART, "minus", "-", "farther", "Show more steps"),
    Action("pan_left", Place.CHART, "left", "←", "earlier", "Go to earlier steps"),
    Action("pan_right", Place.CHART, "right", "→", "later", "Go to later steps"),
    Action("zoom_values_in", Place.CHART, "greater_than_sign", ">", "higher", "Show fewer values, larger"),
    Action("zoom_values_out", Place.CHART, "less_than_sign", "<", "lower", "Show more values, smaller"),
    Action("pan_up", Place.CHART, "up", "↑", "up", "Go to higher values"),
    Action("pan_down", Place.CHART, "down", "↓", "down", "Go to lower values"),
    Action("show_all", Place.CHART, "0,home", "0", "all", "Show all steps and values again"),
    Action("close", Place.CHART, "escape,q,C", "esc", "close", "Close the chart"),
    Action("next_part", Place.COMPARE, "tab", "tab", "next part", "Show the next part"),
    Action("previous_part", Place.COMPARE, "shift+tab", "⇧tab", "part before", "Show the part before"),
    Action("show_curves", Place.COMPARE, "1", "1", "curves", "Show the curves over one another"),
    Action("show_specs", Place.COMPARE, "2", "2", "specs", "Show what was asked for and what it ran on"),
    Action("show_predictions", Place.COMPARE, "3", "3", "predictions", "Show what each run said at a step"),
    Action("show_vectors", Place.COMPARE, "4", "4", "vectors", "Show the cosines between the final z's"),
    Action("show_plane", Place.COMPARE, "5", "5", "plane", "Show all trajectories in their principal plane"),
    Action(
        "next_alignment",
        Place.COMPARE,
        "a",
        "a",
        "align",
        "Lay the curves over one another by step, by time spent, or from the first match",
    ),
    Action("next_figure", Place.COMPARE, "c", "c", "other figure", "Draw similarity, terms, lr … instead"),
    Action("toggle_log", Place.COMPARE, "y", "y", "log", "Draw it on a logarithmic scale, or not"),
    Action("show_all", Place.COMPARE, "0", "0", "all", "Show whole curves after the mouse has moved them"),
    Action("previous_step", Place.COMPARE, "left", "←", "before", "Compare at the decoded step before"),
    Action("next_step", Place.COMPARE, "right", "→", "after", "Compare at the next decoded step"),
    Action("first_step", Place.COMPARE, "less_than_sign", "<", "first", "Compare at the first step"),
    Action("last_step", Place.COMPARE, "greater_than_sign", ">", "newest", "Compare at the newest one"),
    Action(
        "next_difference",
        Place.COMPARE,
        "d",
        "d",
        "differences",
        "Mark the words that the first run did not say, that the target lacks, or none",
    ),
    Action("line_up", Place.COMPARE, "up,k", "↑", "line up", "Scroll up a line"),
    Action("line_down", Place.COMPARE, "down,j", "↓", "line down", "Scroll down a line"),
    Action("page_up", Place.COMPARE, "pageup", "pgup", "page up", "Scroll up a screenful"),
    Action("page_down", Place.COMPARE, "pagedown", "pgdn", "page down", "Scroll down a screenful"),
    Action("first_line", Place.COMPARE, "home", "home", "first line", "Scroll to the first line"),
    Action("last_line", Place.COMPARE, "end", "end", "last line", "Scroll to the last line"),
    Action("close", Place.COMPARE, "escape,q,X", "esc", "close", "Close the comparison"),
    Action("previous_group", Place.GAP, "up,k", "↑", "line up", "Go to the steps above; stops following"),
    Action("next_group", Place.GAP, "down,j", "↓", "line down", "Go to the steps below"),
    Action("page_up", Place.GAP, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.GAP, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action("first_group", Place.GAP, "home", "home", "first", "Go to the first decoded row"),
    Action("last_group", Place.GAP, "end", "end", "newest", "Go to the newest decoded row and follow"),
    Action("open_row", Place.GAP, "enter", "enter", "open row", "Open the newest of these steps"),
    Action("close", Place.GAP, "escape,q,G", "esc", "close", "Close the gap view"),
    Action("keep_filter", Place.FILTER, "enter,down", "enter", "keep", "Back to the list; the filter stays"),
    Action("clear_filter", Place.FILTER, "escape", "esc", "clear", "Take the filter away"),
    Action("row_up", Place.TABLE, "up,k", "↑", "row up", "Move up a row and stop following"),
    Action("row_down", Place.TABLE, "down,j", "↓", "row down", "Move down a row"),
    Action("page_up", Place.TABLE, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.TABLE, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action("first_row", Place.TABLE, "home", "home", "first row", "Go to the first row"),
    Action("last_row", Place.TABLE, "end", "end", "last row", "Go to the last row and follow new ones"),
    Action(
        "open_row",
        Place.TABLE,
        "enter",
        "enter",
        "open row",
        "Open the row: whole texts, the target's tokens, all numbers",
    ),
    Action(
        "next_change",
        Place.TABLE,
        "right_square_bracket",
        "]",
        "next change",
        "Go to the next row whose prediction decodes to something else",
    ),
    Action(
        "previous_change",
        Place.TABLE,
        "left_square_bracket",
        "[",
        "previous change",
        "Go to the previous row whose prediction decodes to something else",
    ),
    Action("first_match", Place.TABLE, "m", "m", "first match", "Go to the first row that is the target"),
    Action("next_event", Place.TABLE, "right_curly_bracket", "}", "next event", "Go to the next event"),
    Action(
        "previous_event", Place.TABLE, "left_curly_bracket", "{", "previous event", "Go to the event before"
    ),
    Action(
        "cycle_difference",
        Place.TABLE,
        "d",
        "d",
        "differences",
        "Mark the words that differ from the previous decoded row, from the target, or none",
    ),
    Action(
        "cycle_numbers",
        Place.TABLE,
        "M",
        "M",
        "numbers",
        "Show the usual numbers, what is measured of decoded rows, or the loss terms",
    ),
    Action(
        "toggle_folding",
        Place.TABLE,
        "z",
        "z",
        "fold",
        "Fold rows whose prediction stays the same; again: show them all",
    ),
    Action("to_runs", Place.TABLE, "escape,left", "esc", "to the list", "Go back to the list of runs"),
    Action("previous_step", Place.ROW, "left", "←", "before", "Show the row before"),
    Action("next_step", Place.ROW, "right", "→", "after", "Show the row after"),
    Action(
        "previous_change",
        Place.ROW,
        "left_square_bracket",
        "[",
        "previous change",
        "Show the previous row whose prediction decodes to something else",
    ),
    Action(
        "next_change",
        Place.ROW,
        "right_square_bracket",
        "]",
        "next change",
        "Show the next row whose prediction decodes to something else",
    ),
    Action("line_up", Place.ROW, "up,k", "↑", "line up", "Scroll up a line"),
    Action("line_down", Place.ROW, "down,j", "↓", "line down", "Scroll down a line"),
    Action("page_up", Place.ROW, "pageup", "pgup", "page up", "Scroll up a screenful"),
    Action("page_down", Place.ROW, "pagedown", "pgdn", "page down", "Scroll down a screenful"),
    Action("first_line", Place.ROW, "home", "home", "first line", "Scroll to the first line"),
    Action("last_line", Place.ROW, "end", "end", "last line", "Scroll to the last line"),
    Action("copy", Place.ROW, "c", "c", "copy", "Copy the prediction, z's text, or the row as JSON"),
    Action("nearest", Place.ROW, "n", "n", "nearest", "Show the stored vectors nearest to this z"),
    Action("interpolate", Place.ROW, "i", "i", "interpolate", "Decode points between this z and another"),
    Action("fork", Place.ROW, "f", "f", "fork", "Start a new run from this row"),
    Action("export", Place.ROW, "x", "x", "export", "Write the row's z to a file"),
    Action("close", Place.ROW, "escape,enter,q", "esc", "back", "Back to the table, to this row"),
    Action("line_up", Place.VECTORS, "up,k", "↑", "line up", "Move up a line"),
    Action("line_down", Place.VECTORS, "down,j", "↓", "line down", "Move down a line"),
    Action("page_up", Place.VECTORS, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.VECTORS, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action("first_line", Place.VECTORS, "home", "home", "first line", "Go to the first line"),
    Action("last_line", Place.VECTORS, "end", "end", "last line", "Go to the last line"),
    Action("close", Place.VECTORS, "escape,q", "esc", "back", "Back to the row"),
    Action("open_row", Place.NEAREST, "enter", "enter", "go there", "Go to the row that the vector is of"),
    Action("toggle_all", Place.NEAREST, "a", "a", "all or one", "Show all vectors, or one of each run"),
    Action("copy_prediction", Place.COPY, "p", "p", "prediction", "Copy the decoded prediction"),
    Action("copy_z", Place.COPY, "z", "z", "z's text", "Copy what z decodes to"),
    Action("copy_row", Place.COPY, "j", "j", "the row as JSON", "Copy numbers and texts of the row as JSON"),
    Action("copy_numbers", Place.COPY, "v", "v", "z as numbers", "Copy z as a JSON list of its numbers"),
    Action("cancel", Place.COPY, "escape,q", "esc", "nothing", "Copy nothing"),
    Action("write", Place.EXPORT_RUNS, "enter", "enter", "write", "Write the file"),
    Action("next_subject", Place.EXPORT_RUNS, "tab", "tab", "what", "Export the run, or the whole session"),
    Action("next_format", Place.EXPORT_RUNS, "down", "↓", "next format", "Write it as something else"),
    Action("previous_format", Place.EXPORT_RUNS, "up", "↑", "format before", "Write it as what comes before"),
    Action("cancel", Place.EXPORT_RUNS, "escape", "esc", "cancel", "Write nothing"),
    Action("write", Place.EXPORT, "enter", "enter", "write", "Write the file"),
    Action("cancel", Place.EXPORT, "escape", "esc", "cancel", "Write nothing"),
    Action("start", Place.FORM, "enter,ctrl+s", "enter", "start", "Start the run, or its copies"),
    Action("next_field", Place.FORM, "tab,down", "tab", "next field", "Go to the field below (↓ too)"),
    Action("previous_field", Place.FORM, "shift+tab,up", "↑", "field before", "Go to the field above"),
    Action(
        "next_source",
        Place.FORM,
        "ctrl+o",
        "ctrl+o",
        "other values",
        "Fill the form from the next of: last run, selected run, published experiments, presets",
    ),
    Action("save_preset", Place.FORM, "ctrl+w", "ctrl+w", "save as preset", "Keep the values under a name"),
    Action(
        "delete_preset",
        Place.FORM,
        "ctrl+d",
        "ctrl+d",
        "delete preset",
        "Delete the preset of your own that fills the form; a second press confirms",
    ),
    Action("cancel", Place.FORM, "escape", "esc", "cancel", "Close the form; nothing is started"),
    Action("next_choice", Place.CHOICE, "right,space", "→", "next choice", "Take the next value"),
    Action("previous_choice", Place.CHOICE, "left", "←", "choice before", "Take the value before"),
    Action("save_name", Place.PRESET_NAME, "enter", "enter", "save", "Save the preset under the name"),
    Action("close", Place.PRESET_NAME, "escape", "esc", "close", "Save nothing"),
    Action("cancel", Place.VERIFICATION, "c", "c", "give up", "Give the verification up"),
    Action("close", Place.VERIFICATION, "escape,q,enter", "esc", "close", "Close; the verification goes on"),
    Action("confirm", Place.QUESTION, "y,enter", "y", "yes", "Stop it"),
    Action("decline", Place.QUESTION, "n,escape,q", "n", "no", "Let it go on"),
    Action("accept", Place.DIALOG, "enter", "enter", "accept", "Do what the dialog says"),
    Action("close", Place.DIALOG, "escape", "esc", "close", "Close the dialog; nothing is asked for"),
    Action("move_up", Place.DIALOG, "up", "↑", "up", "Go to the field above"),
    Action("move_down", Place.DIALOG, "down", "↓", "down", "Go to the field below"),
    Action("remove", Place.BREAK_POINTS, "ctrl+r", "ctrl+r", "remove", "Remove the one that ↑ ↓ mark"),
    Action("other_part", Place.LOG, "tab", "tab", "other part", "Between events and the worker's log"),
    Action("line_up", Place.LOG, "up,k", "↑", "line up", "Move up a line and stop following"),
    Action("line_down", Place.LOG, "down,j", "↓", "line down", "Move down a line"),
    Action("page_up", Place.LOG, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.LOG, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action("first_line", Place.LOG, "home", "home", "first line", "Go to the first line"),
    Action("last_line", Place.LOG, "end", "end", "last line", "Go to the last line and follow new ones"),
    Action("try_again", Place.LOG, "r", "r", "try again", "Go on with a run that has ended"),
    Action("close", Place.LOG, "escape,q,o", "esc", "close", "Close the log"),
    Action("play", Place.REPLAY, "space", "space", "play", "Play or pause; at the end start again"),
    Action("faster", Place.REPLAY, "plus,equals_sign", "+", "faster", "Faster; 1× is 10 steps a second"),
    Action("slower", Place.REPLAY, "minus", "-", "slower", "Slower; the slowest is as it was recorded"),
    Action("row_after", Place.REPLAY, "full_stop,right", ".", "one on", "Pause, one row on (→ too)"),
    Action("row_before", Place.REPLAY, "comma,left", ",", "one back", "Pause, one row back (← too)"),
    Action(
        "next_change",
        Place.REPLAY,
        "right_square_bracket",
        "]",
        "next change",
        "Go on to where the prediction decodes to something else",
    ),
    Action(
        "previous_change",
        Place.REPLAY,
        "left_square_bracket",
        "[",
        "previous change",
        "Go back to where the prediction came to decode to something else",
    ),
    Action("next_event", Place.REPLAY, "right_curly_bracket", "}", "next event", "Go on to an event"),
    Action("previous_event", Place.REPLAY, "left_curly_bracket", "{", "event before", "Go back to an event"),
    Action("go_to_step", Place.REPLAY, "g", "g", "to a step", "Ask for a step and go there"),
    Action("first", Place.REPLAY, "home", "home", "start", "Go to the first row"),
    Action("last", Place.REPLAY, "end", "end", "end", "Go to the last row that was recorded"),
    Action("close", Place.REPLAY, "escape,R,q", "esc", "live", "Leave the replay, back to the run as it is"),
    Action("previous_session", Place.SESSIONS, "up,k", "↑", "line up", "Move up a line"),
    Action("next_session", Place.SESSIONS, "down,j", "↓", "line down", "Move down a line"),
    Action("page_up", Place.SESSIONS, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.SESSIONS, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action("first_session", Place.SESSIONS, "home", "home", "first line", "Go to the first session"),
    Action("last_session", Place.SESSIONS, "end", "end", "last line", "Go to the last session"),
    Action("notes_up", Place.SESSIONS, "left_square_bracket", "[", "notes up", "Scroll its notes up"),
    Action("notes_down", Place.SESSIONS, "right_square_bracket", "]", "notes down", "Scroll its notes down"),
    Action("open_session", Place.SESSIONS, "enter", "enter", "open", "Show its runs on the main screen"),
    Action("search", Place.SESSIONS, "f", "f", "find text", "Search all texts that were ever decoded"),
    Action("filter", Place.SESSIONS, "slash", "/", "filter", "Show only sessions with certain words"),
    Action("sort", Place.SESSIONS, "S,s", "S", "order", "Order: last active, loss, matches, size, name"),
    Action("rename", Place.SESSIONS, "r,f2", "r", "rename", "Give the session another name"),
    Action("edit_notes", Place.SESSIONS, "n", "n", "notes", "Edit its notes (Markdown)"),
    Action("edit_tags", Place.SESSIONS, "t", "t", "tags", "Change its tags"),
    Action("archive", Place.SESSIONS, "a", "a", "archive", "Put the session away, or take it out again"),
    Action("show_archived", Place.SESSIONS, "A", "A", "archived", "Show archived sessions too, or hide them"),
    Action("delete", Place.SESSIONS, "delete", "del", "delete", "Delete the session with its runs"),
    Action("undo", Place.SESSIONS, "u", "u", "undo", "Bring back what was deleted last"),
    Action("close", Place.SESSIONS, "escape,q,B", "esc", "close", "Back to the main screen"),
    Action("keep_filter", Place.SESSION_FILTER, "enter,down", "enter", "keep", "The filter stays"),
    Action("clear_filter", Place.SESSION_FILTER, "escape", "esc", "clear", "Take the filter away"),
    Action("open_hit", Place.SEARCH, "enter", "enter", "go there", "Go to the run, at the row that says it"),
    Action("previous_hit", Place.SEARCH, "up", "↑", "up", "Move up a line"),
    Action("next_hit", Place.SEARCH, "down", "↓", "down", "Move down a line"),
    Action("page_up", Place.SEARCH, "pageup", "pgup", "page up", "Move up a screenful"),
    Action("page_down", Place.SEARCH, "pagedown", "pgdn", "page down", "Move down a screenful"),
    Action("close", Place.SEARCH, "escape", "esc", "close", "Back to the sessions"),
    Action("save", Place.NAMING, "enter", "enter", "save", "Save what was typed"),
    Action("close", Place.NAMING, "escape", "esc", "close", "Save nothing"),
    Action("next_field", Place.NAMING, "tab,down", "tab", "next field", "Go to the field below"),
    Action("previous_field", Place.NAMING, "shift+tab,up", "↑", "field before", "Go to the field above"),
    Action("save", Place.NOTES, "ctrl+s", "ctrl+s", "save", "Save the notes"),
    Action("close", Place.NOTES, "escape", "esc", "close", "Close; asks again when they changed"),
    Action("close", Place.HELP, "escape,q,question_mark,f1", "esc", "close", "Close the help"),
)

_STEERING = frozenset({"toggle_pause", "raise_lr", "lower_lr", "set_lr", "set_weights", "stop"})
"""Need a run that has not ended."""

_GOING_ON = frozenset({"step", "run_more", "run_to", "break_points"})
"""Need a run that has not ended, or that can be gone on with."""

LEAVE_FROM_ANYWHERE = Binding("ctrl+c", "leave", show=False, priority=True)
"""What a terminal's user expects to work everywhere, in a form and a question too."""


def bindings(place: Place) -> list[BindingType]:
    """Textual's bindings for the class that carries out the actions of a place."""
    return [
        Binding(
            action.keys,
            action.name,
            action.label,
            show=False,
            key_display=action.shown_key,
            id=binding_id(action),
        )
        for action in at(place)
    ]


def binding_id(action: Action) -> str:
    """What names an action in a keymap: its place and its name."""
    return f"{action.place.name.lower()}.{action.name}"


def at(place: Place) -> list[Action]:
    """The actions of a place, in the order of the registry."""
    return [action for action in ACTIONS if action.place is place]


REGISTERED_KEYS = {action.name: action.shown_key for action in at(Place.EXPLORER)}
"""What is written for the keys of the main screen's actions, as long as the user sets no others."""


def unavailable(run: RunRecord | None) -> frozenset[str]:
    """Names of the actions that the selected run, or its absence, rules out."""
    if run is None or run.origin != "recorded":
        return _STEERING | _GOING_ON | {"resume", "extend"} | (frozenset() if run else {"log"})
    if run.status is Status.FINISHED:
        return _STEERING | _GOING_ON | {"resume"}
    if run.status.has_ended:
        return _STEERING
    return frozenset() if run.status is Status.PAUSED else frozenset({"resume"})


def why_unavailable(run: RunRecord, keys: Mapping[str, str]) -> str:
    """What about a run rules actions out, and what can be done about it.

    Args:
        run: The run.
        keys: What is written for the keys of the main screen's actions, by their names.
    """
    if run.origin != "recorded":
        return f"run {run.id}: is {run.origin}, and was never run here: it can only be looked at"
    if run.status is Status.FINISHED:
        return f"run {run.id}: has finished its {run.steps} steps; {keys['extend']} adds some"
    if run.status.has_ended:
        return f"run {run.id}: has ended ({run.status}); {keys['resume']} goes on with it"
    return f"run {run.id}: is {run.status}"
