import covalent as ct
from outcome import dispatch

executor = ct.executor.AWSLambdaContainerExecutor(memory_size=1024)


@ct.electron(executor=executor)
def make(size):
    import hashlib

    content = bytes(range(256)) * (size // 256)
    return content, hashlib.sha256(content).hexdigest()


@ct.electron(executor=executor)
def digest(made):
    import hashlib

    content, expected = made
    return len(content), hashlib.sha256(content).hexdigest() == expected


@ct.lattice
def workflow(size):
    return digest(make(size))


dispatch(workflow, 10_000_128)
