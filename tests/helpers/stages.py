"""The stages of a small project of DVC; each notes in the file `ran` that it ran."""

STAGES = {
    "one": {"cmd": "echo one >> ran; cp in.txt one.txt", "deps": ["in.txt"], "outs": ["one.txt"]},
    "two": {
        "cmd": "echo two >> ran; sh two.sh",
        "deps": ["one.txt", "two.sh"],
        "outs": ["two.txt", "more.txt"],
    },
}
