"""``python -m covalent_lambda_container.cli``."""

from covalent_lambda_container.cli.main import main

if __name__ == "__main__":
    main()
