"""Options of an account, of a task and of the functions that run it."""

# ruff: noqa: RUF012 - Pydantic copies these defaults for each instance.

from __future__ import annotations

from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, MaxLen, MinLen

from covalent_lambda_container.options.limits import (
    CONCURRENCY_QUOTA,
    LONGEST_TIMEOUT_S,
    MAX_SECURITY_GROUPS,
    MAX_SUBNETS,
    MEMORY_MB,
    REGION,
    TMP_MB,
)
from covalent_lambda_container.options.option import Number, Option, Text, Truth, Whole, pattern


class AccountOptions:
    """Account and credentials"""

    region: Annotated[
        Text,
        pattern(f"^({REGION})?$", "a region's name, such as eu-central-1"),
        Option("AWS region; default: the profile's.", flag="--region NAME"),
    ] = ""
    profile: Annotated[
        Text, Option("Profile in the AWS configuration; default: boto3's.", flag="--profile NAME")
    ] = ""
    credentials_file: Annotated[
        Text,
        Option(
            "AWS credentials file; default: where boto3 looks.",
            remark="`credentials` is its older name.",
            flag="--credentials-file FILE",
        ),
    ] = ""
    endpoint_url: Annotated[
        Text,
        Option(
            "Another AWS endpoint, such as a local stack; default: AWS.", flag="--endpoint-url URL"
        ),
    ] = ""
    s3_bucket_name: Annotated[
        Text,
        pattern(
            r"^[a-z0-9][a-z0-9.-]*[a-z0-9]$",
            "lowercase letters, digits, hyphens and dots, a letter or digit at each end",
        ),
        MinLen(3),
        MaxLen(63),
        Option(
            "S3 bucket through which large tasks and results pass: lowercase letters, "
            "digits, hyphens and dots.",
            flag="--bucket NAME",
        ),
    ] = "covalent-lambda-job-resources"
    ecr_repository: Annotated[
        Text,
        pattern(
            r"^[a-z0-9]+([._/-][a-z0-9]+)*$",
            "lowercase letters and digits, with single '.', '_', '/' or '-' between them",
        ),
        MinLen(2),
        MaxLen(256),
        Option(
            "ECR repository of the images.",
            remark="Created when it is missing. A dispatcher with the policy of `covalent-lambda "
            "policy dispatcher` may not create it; `covalent-lambda bootstrap` does.",
            flag="--repository NAME",
        ),
    ] = "covalent-lambda"
    lambda_role_name: Annotated[
        Text,
        pattern(
            r"^([\w+=,.@-]{1,64}|arn:aws[a-z-]*:iam::\d{12}:role/([!-~]{1,510}/)?[\w+=,.@-]{1,64})$",
            "a role's name, of up to 64 letters, digits and '+=,.@_-', or its ARN, "
            "'arn:aws:iam::ACCOUNT:role/PATH/NAME'",
        ),
        Option(
            "Execution role of the functions: a name or, if it has a path, an ARN.",
            flag="--role NAME",
        ),
    ] = "CovalentLambdaExecutionRole"


class TaskOptions:
    """Resources of a task"""

    timeout: Annotated[
        Whole,
        Ge(1),
        Le(LONGEST_TIMEOUT_S),
        Option(
            f"Seconds a task may take, 1 to {LONGEST_TIMEOUT_S} (Lambda's limit).",
            function="timeout_s",
        ),
    ] = 60
    memory_size: Annotated[
        Whole,
        Ge(MEMORY_MB[0]),
        Le(MEMORY_MB[1]),
        Option(
            f"Memory of a task in MB, {MEMORY_MB[0]} to {MEMORY_MB[1]}; CPU grows with it.",
            function="memory_mb",
        ),
    ] = 512
    max_memory_size: Annotated[
        Whole,
        Ge(0),
        Le(MEMORY_MB[1]),
        Option(
            "Most memory in MB for a task that ran out of it: it is rerun with twice as much each "
            f"time up to this limit, at most {MEMORY_MB[1]}; 0: no reruns for lack of memory.",
            remark="The next task of the same electron starts with the memory that the last one "
            "reached, in each process of the dispatcher. These runs do not count as `retries`.",
        ),
    ] = 0
    ephemeral_storage: Annotated[
        Whole,
        Ge(TMP_MB[0]),
        Le(TMP_MB[1]),
        Option(f"Size of /tmp in MB, {TMP_MB[0]} to {TMP_MB[1]}.", function="ephemeral_storage_mb"),
    ] = 512
    environment: Annotated[
        dict[Text, Text],
        Option("Environment variables of the functions.", function="environment"),
    ] = {}
    subnet_ids: Annotated[
        list[
            Annotated[
                Text,
                pattern(r"^subnet-[0-9a-f]+$", "a subnet's ID: subnet- and hexadecimal digits"),
            ]
        ],
        MaxLen(MAX_SUBNETS),
        Option(
            f"Subnets of the VPC that the functions join, up to {MAX_SUBNETS}; with "
            "security_group_ids.",
            remark="The subnets need a route to S3. `covalent-lambda bootstrap --vpc` gives the "
            "execution role the permissions to join them, and `covalent-lambda policy dispatcher "
            "--vpc` the dispatcher.",
            function="subnet_ids",
        ),
    ] = []
    security_group_ids: Annotated[
        list[
            Annotated[
                Text,
                pattern(r"^sg-[0-9a-f]+$", "a security group's ID: sg- and hexadecimal digits"),
            ]
        ],
        MaxLen(MAX_SECURITY_GROUPS),
        Option(
            f"Security groups of the functions in their VPC, up to {MAX_SECURITY_GROUPS}; with "
            "subnet_ids.",
            function="security_group_ids",
        ),
    ] = []
    file_system: Annotated[
        dict[Text, Text],
        Option(
            'Access point of EFS or S3 Files that the functions mount, {"arn": its ARN, '
            '"mount_path": "/mnt/NAME"}; needs subnet_ids.',
            remark="If it is in Covalent's configuration, `covalent-lambda bootstrap` and "
            "`covalent-lambda policy` include what the execution role and the dispatcher need "
            "for it.",
        ),
    ] = {}


class FunctionOptions:
    """Behaviour of functions"""

    reserved_concurrency: Annotated[
        Whole,
        Ge(0),
        Option(
            "Executions that Lambda reserves for each function and does not let it exceed, "
            "1 or more; 0: none. A function replaced after an edit keeps its reservation until "
            "`covalent-lambda gc` removes it.",
            remark="The dispatcher needs `covalent-lambda policy dispatcher "
            "--reserved-concurrency`.",
            function="reserved_concurrency",
        ),
    ] = 0
    prewarm: Annotated[
        Whole,
        Ge(0),
        Le(CONCURRENCY_QUOTA),
        Option(
            "Execution environments started at once before a function's first task, "
            f"0 to {CONCURRENCY_QUOTA}.",
            remark="In each process of the dispatcher.",
        ),
    ] = 0
    isolate: Annotated[
        Literal["none", "function"],
        Option(
            "Which dispatchers share functions: none, all whose tasks need the same one; "
            "function, only those with the same AWS identity.",
            remark="A role is one identity, regardless of who assumes it. See "
            "[what one task can see of another](security.md#what-one-task-can-see-of-another).",
        ),
    ] = "none"
    kms_key_arn: Annotated[
        Text,
        pattern(
            r"^(arn:aws[a-zA-Z-]*:kms:[a-z0-9-]+:[0-9]{12}:(key|alias)/[a-zA-Z0-9/_-]+)?$",
            "the ARN of a key or an alias: arn:aws:kms:REGION:ACCOUNT:key/ID",
        ),
        Option(
            "ARN of the KMS key that encrypts the functions' environment variables and images; "
            "default: AWS's own.",
            function="kms_key_arn",
        ),
    ] = ""
    tags: Annotated[dict[Text, Text], Option("AWS tags of the functions.", function="tags")] = {}
    poll_freq: Annotated[
        Number,
        Gt(0),
        Le(LONGEST_TIMEOUT_S),
        Option("Seconds between checks for the result of a task whose connection was lost."),
    ] = 5.0
    cleanup: Annotated[Truth, Option("Remove a task's S3 objects when it has ended.")] = True
    usage_report: Annotated[
        Truth,
        Option("End each task's stderr with a line on its duration, memory and estimated cost."),
    ] = True
    live_output: Annotated[
        Truth,
        Option(
            "Show in its node what a task that runs longer than 5 seconds has printed so far.",
            remark="Through S3: see [what it costs](cost.md).",
        ),
    ] = True
    sublattice_executors: Annotated[
        list[Text],
        Option(
            "Further executors that the electrons of a sublattice may use if its graph is built in "
            'Lambda, by name; "*": any executor, with any hooks.',
            remark="Without it, a sublattice may use this executor and those that its own "
            "`@ct.lattice` and its parent's name. A task can forge the graph, and Covalent's "
            "server runs it: `local` is the server's own machine.",
        ),
    ] = []
    cache_dir: Annotated[
        Text,
        MinLen(1),
        Option(
            "Folder for lock files and for packages that later builds reuse.",
            flag="--cache-dir FOLDER",
        ),
    ] = "~/.cache/covalent/lambda_container"
