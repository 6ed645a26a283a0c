FACTOR = 11


def scaled(x):
    return FACTOR * x
