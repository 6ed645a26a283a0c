import covalent as ct
from covalent._file_transfer import File, FileTransfer, Order
from covalent._file_transfer.strategies.http_strategy import HTTP
from outcome import dispatch

EXECUTOR = ct.executor.AWSLambdaContainerExecutor(memory_size=1024, timeout=60)
URL = __import__("os").environ["HELLO_URL"]


@ct.electron(
    executor=EXECUTOR,
    files=[FileTransfer(File(URL), File("/tmp/hello.txt"), order=Order.BEFORE, strategy=HTTP())],
)
def read(files=None):
    with open(files[0][1]) as file:
        return file.read()


@ct.lattice
def workflow():
    return read()


dispatch(workflow)
