"""What a terminal shows after a program moved its cursor about."""
import re

_PIECE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])|\x1b.|([\x00-\x1f])|([^\x1b\x00-\x1f]+)",
                    re.DOTALL)


def lines(text, rows=50, columns=132):
    """The lines on the screen after `text`; of the escape sequences only those that place the
    cursor or erase are looked at [ECMA-48 8.3.21, 8.3.39, 8.3.41]."""
    grid = [[" "] * columns for _ in range(rows)]
    row = column = 0
    for arguments, final, control, plain in _PIECE.findall(text):
        if final in ("H", "f"):
            numbers = [int(each or 1) for each in arguments.split(";")] + [1]
            row, column = numbers[0] - 1, numbers[1] - 1 if ";" in arguments else 0
        elif final == "J":
            grid = [[" "] * columns for _ in range(rows)]
        elif final == "K":
            grid[row % rows][column:] = [" "] * (columns - column)
        elif control == "\n":
            row += 1
        elif control == "\r":
            column = 0
        for letter in plain:
            if column < columns:
                grid[row % rows][column] = letter
            column += 1
    return ["".join(line).rstrip() for line in grid]
