"""pyarrow with and without pandas, in processes of their own: what it once found out it keeps."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "script",
    [
        "spare_pandas(); pa.array(['a']); assert 'pandas' not in sys.modules",
        "spare_pandas(); assert type(pa.table({'a': [1]}).to_pandas()).__name__ == 'DataFrame'",
        "spare_pandas(); want_pandas(); import pandas as pd; assert pa.array(pd.Series([1, None])).null_count == 1",
        "import pandas as pd; spare_pandas(); assert pa.array(pd.Series([1, None])).null_count == 1",
    ],
)
def test_pandas_is_imported_where_it_is_wanted_and_not_before(script: str) -> None:
    preamble = (
        "import sys; import pyarrow as pa; from fashion_assets.arrow import spare_pandas, want_pandas; "
    )
    done = subprocess.run(
        [sys.executable, "-c", preamble + script], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
