"""Train support vector machines with several kernels at once on AWS Lambda, and choose the best.

scikit-learn is needed in the image only, which the executor builds from ``DepsPip``.
"""

import covalent as ct

executor = ct.executor.AWSLambdaContainerExecutor(memory_size=1024, timeout=120)
packages = ct.DepsPip(["scikit-learn==1.7.2"])


@ct.electron(executor=executor, deps_pip=packages)
def load(copies):
    """Return iris, each flower several times with some noise."""
    import numpy
    from sklearn.datasets import load_iris

    flowers, kinds = load_iris(return_X_y=True)
    noise = numpy.random.default_rng(0).normal(scale=0.1, size=(copies, *flowers.shape))
    print(f"{copies * len(flowers)} flowers")
    return (flowers + noise).reshape(-1, flowers.shape[1]), numpy.tile(kinds, copies)


@ct.electron(executor=executor, deps_pip=packages)
def train(data, kernel):
    """Fit one model."""
    from sklearn.svm import SVC

    flowers, kinds = data
    print(f"kernel {kernel}")
    return kernel, SVC(kernel=kernel).fit(flowers[::3], kinds[::3])


@ct.electron(executor=executor, deps_pip=packages)
def score(trained):
    """Return the share of the original flowers that a model names correctly."""
    from sklearn.datasets import load_iris

    kernel, model = trained
    return float(model.score(*load_iris(return_X_y=True))), kernel


@ct.electron(executor=executor)
def best(scores):
    """Return the best score and its kernel."""
    return max(tuple(one) for one in scores)


@ct.lattice
def model_choice(copies=40):
    data = load(copies)
    return best([score(train(data, kernel)) for kernel in ("linear", "rbf", "poly", "sigmoid")])


if __name__ == "__main__":
    dispatch_id = ct.dispatch(model_choice)()
    result = ct.get_result(dispatch_id, wait=True)
    print(f"{dispatch_id} {result.status} {result.result}")
    if str(result.status) != "COMPLETED":
        raise SystemExit(str(result.error))
