"""File transfers before and after an electron: from and to S3 and HTTP, and within /tmp."""

import sys
from pathlib import Path

import covalent as ct
from outcome import dispatch

url, upload = sys.argv[1:]
EXECUTOR = "awslambda_container"
AFTER = ct.fs.Order.AFTER

# Covalent's HTTP strategy reads the size of what it will send here and now.
Path(upload).write_text("five!")


@ct.electron(
    executor=EXECUTOR,
    files=[
        ct.fs.FileTransfer("s3://files/in.txt"),
        ct.fs.FileTransfer(f"{url}/page.txt", "/tmp/page.txt"),
        ct.fs.FileTransfer("made.txt", "s3://files/out.txt", order=AFTER),
        ct.fs.FileTransfer(upload, f"{url}/put.txt", order=AFTER),
    ],
)
def remote(files=None):
    import importlib.util
    from pathlib import Path

    (_, first), (_, page), (made, _), (sent, _) = files
    Path(made).write_text("made in Lambda")
    Path(sent).parent.mkdir(parents=True, exist_ok=True)
    Path(sent).write_text("5 up!")
    read = [Path(path).read_text() for path in (first, page)]
    # Not as one text: a task that names Covalent gets it in its image.
    return [*read, importlib.util.find_spec("".join(["cova", "lent"])) is None]


@ct.electron(executor=EXECUTOR, files=[ct.fs.FileTransfer("/etc/passwd", "/tmp/copies/a")])
def copied(files=[]):  # noqa: B006 - as Covalent's documentation writes it
    ((source, copy),) = files
    with open(source) as one, open(copy) as other:
        return one.read() == other.read()


@ct.lattice
def workflow():
    return [remote(), copied()]


dispatch(workflow)
