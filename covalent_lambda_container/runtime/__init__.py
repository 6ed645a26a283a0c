"""The half of this project that runs inside Lambda.

Copied into every image as the package ``covalent_lambda_runtime``. It needs the standard library
and cloudpickle, and nothing else.
"""
