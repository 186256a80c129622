"""Warm kernels: started for a run, ended with it."""

import multiprocessing

import nbformat

from xfer_utils import engines, kernels


def test_a_kernel_ends_with_its_notebook(tmp_path):
    notebook = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "language": "python", "display_name": "Python 3"}},
        cells=[nbformat.v4.new_code_cell("import os; print(os.getpid(), os.environ['OMP_NUM_THREADS'])")],
    )
    nbformat.write(notebook, tmp_path / "pid.ipynb")
    for number in (1, 2):
        executed = tmp_path / f"executed-{number}.ipynb"
        engines.execute_notebook(tmp_path / "pid.ipynb", executed, {}, threads=1)
        (output,) = nbformat.read(executed, as_version=4).cells[-1].outputs
        assert output.text.split()[1] == "1"
        assert not kernels.LIVE
        assert all(child.exitcode is not None for child in multiprocessing.active_children())
