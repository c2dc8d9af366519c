"""What Triton's compiler refuses and its interpreter, which tests use where there is no GPU, does not."""

import ast

from tests.support.scripts import ROOT

# Triton writes a function that takes a kernel's arguments by name and has these variables.
TAKEN = {"params", "specialization", "options", "grid", "warmup", "num_warps", "num_stages", "num_ctas", "debug"}


def test_no_kernel_has_an_argument_that_triton_uses_itself() -> None:
    kernels = {
        f"{path.name} {node.name}": {argument.arg for argument in node.args.args}
        for path in (ROOT / "lib/kernels").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef) and any("triton.jit" in ast.unparse(d) for d in node.decorator_list)
    }
    assert len(kernels) > 20
    assert not {name: arguments & TAKEN for name, arguments in kernels.items() if arguments & TAKEN}
