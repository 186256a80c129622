"""A mixed model of gains: reported beside the primary analysis, never instead of it."""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

from xfer_utils.analysis.intervals import Interval

LEAST = 1e-3  # share of the variance below which statsmodels may return wrong effects (its #10239)


def effects(table: pd.DataFrame, formula: str, by: Sequence[str]) -> tuple[pd.DataFrame, str]:
    """Fixed effects [estimate, low, high, p], the columns `by` being crossed random effects.

    What comes second says why there are none: no convergence, or a variance so small that
    statsmodels' effects cannot be trusted. Bounds are normal ones: narrow where levels are few.
    """
    none, outcome = pd.DataFrame(columns=["estimate", "low", "high", "p"]), formula.split()[0]
    variances = {name: f"0 + C({name})" for name in by}
    model = MixedLM.from_formula(formula, table, groups=np.ones(len(table)), vc_formula=variances)
    with warnings.catch_warnings(action="ignore"):
        try:
            fit = model.fit(method="powell", reml=True)  # lbfgs fails on most tables of this size
        except (np.linalg.LinAlgError, ValueError) as error:
            return none, f"no fit ({error})"
    if not fit.converged:
        return none, "no convergence"
    low, high = fit.conf_int().loc["Intercept"]
    if max(fit.vcomp) / table[outcome].var() < LEAST or high - low > 6 * table[outcome].std():
        return none, f"no variance between {' or '.join(f'{name}s' for name in by)}"
    frame = fit.conf_int().set_axis(["low", "high"], axis=1)
    frame = frame.assign(estimate=fit.params, p=fit.pvalues).loc[fit.fe_params.index]
    return frame[none.columns], ""


def mean_gain(gaps: pd.DataFrame) -> tuple[Interval, str]:
    """The mean gap with languages and seeds as crossed random effects: estimate, bounds, p.

    `gaps` has a row per language and seed. What comes second says why there is no estimate.
    """
    known = gaps.dropna(subset="gap")
    none = (np.nan,) * 4
    if known["language"].nunique() < 3 or known["seed"].nunique() < 3:
        return none, "fewer than three languages or seeds"
    found, why = effects(known, "gap ~ 1", ("language", "seed"))
    return (none if why else tuple(found.loc["Intercept"])), why
