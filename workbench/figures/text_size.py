"""How much room text takes: a bound from above for sans-serif and serif faces, in pixels."""

_WIDE, _NARROW = set("mwMW%@&+=<>~—"), set("iljtfrI.,:;|!'()[]/ -")
_EM = {"wide": 0.9, "narrow": 0.34, "capital": 0.73, "other": 0.57}
BOLD = 1.08
LINE = 1.2
"""A line's height, in font sizes."""


def text_width(text: str, size: float, *, bold: bool = False) -> float:
    """Pixels that a line of text is wide, at most, at a font size in pixels."""
    ems = 0.0
    for character in text:
        if character in _WIDE:
            ems += _EM["wide"]
        elif character in _NARROW:
            ems += _EM["narrow"]
        else:
            ems += _EM["capital" if character.isupper() else "other"]
    return ems * size * (BOLD if bold else 1.0)


def wrapped_to(text: str, width: float, size: float, *, bold: bool = False) -> list[str]:
    """Text in lines of at most so many pixels, broken at spaces; a single long word stays whole."""
    lines: list[str] = []
    for word in text.split():
        joined = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(joined, size, bold=bold) <= width:
            lines[-1] = joined
        else:
            lines.append(word)
    return lines or [""]


def level_lines(texts: list[list[str]]) -> list[list[str]]:
    """Texts with as many lines each: blank ones below, which take their room."""
    most = max(map(len, texts), default=0)
    return [[*lines, *[" "] * (most - len(lines))] for lines in texts]
