"""Train a support vector machine on iris, each step an electron with scikit-learn on AWS Lambda.

scikit-learn is not needed where this file runs, nor on Covalent's server: only in the image that
the executor makes from ``DepsPip``.
"""

import covalent as ct

executor = ct.executor.AWSLambdaContainerExecutor(memory_size=1024, timeout=120)
packages = ct.DepsPip(["scikit-learn==1.7.2"])


@ct.electron(executor=executor, deps_pip=packages)
def load(copies):
    """Return iris with noisy copies of every flower: more than Lambda carries in an answer."""
    import numpy
    from sklearn.datasets import load_iris

    flowers, kinds = load_iris(return_X_y=True)
    noise = numpy.random.default_rng(0).normal(scale=0.1, size=(copies, *flowers.shape))
    noisy = (flowers + noise).reshape(-1, flowers.shape[1])
    print(f"{len(noisy)} flowers, {noisy.nbytes / 1e6:.1f} MB")
    return noisy, numpy.tile(kinds, copies)


@ct.electron(executor=executor, deps_pip=packages)
def train(data):
    """Fit the model on every hundredth flower."""
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from sklearn.svm import SVC

    flowers, kinds = data
    model = make_pipeline(StandardScaler(), SVC(kernel="rbf"))
    return model.fit(flowers[::101], kinds[::101])


@ct.electron(executor=executor, deps_pip=packages)
def score(model):
    """Return the share of the original flowers that the model names correctly."""
    from sklearn.datasets import load_iris

    return float(model.score(*load_iris(return_X_y=True)))


@ct.lattice
def iris_svm(copies):
    return score(train(load(copies)))


if __name__ == "__main__":
    dispatch_id = ct.dispatch(iris_svm)(copies=2000)
    result = ct.get_result(dispatch_id, wait=True)
    print(f"{dispatch_id} {result.status} accuracy={result.result}")
    for node in result.get_all_node_results():
        if node["error"]:
            print(f"{node['node_name']}: {node['error']}")
    if str(result.status) != "COMPLETED":
        raise SystemExit(f"See all that is known: covalent-lambda why {dispatch_id}")
