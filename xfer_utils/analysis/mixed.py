"""A mixed model of gains: reported beside the primary analysis, never instead of it."""

import warnings

import numpy as np
import pandas as pd
from statsmodels.regression.mixed_linear_model import MixedLM

from xfer_utils.analysis.intervals import Interval

LEAST = 1e-3  # share of the variance below which statsmodels may return wrong effects (its #10239)
Fit = tuple[Interval, str]


def mean_gain(gaps: pd.DataFrame) -> Fit:
    """The mean gap with languages and seeds as crossed random effects: estimate, bounds, p.

    `gaps` has a row per language and seed. What comes second says why there is no estimate: no
    convergence, or a variance so small that statsmodels' effects cannot be trusted. Its bounds are
    normal ones, so with few seeds they are narrow.
    """
    known = gaps.dropna(subset="gap")
    none = (np.nan,) * 4
    if known["language"].nunique() < 3 or known["seed"].nunique() < 3:
        return none, "fewer than three languages or seeds"
    variances = {name: f"0 + C({name})" for name in ("language", "seed")}
    model = MixedLM.from_formula("gap ~ 1", known, groups=np.ones(len(known)), vc_formula=variances)
    with warnings.catch_warnings(action="ignore"):
        try:
            fit = model.fit(method="powell", reml=True)  # lbfgs fails on most tables of this size
        except (np.linalg.LinAlgError, ValueError) as error:
            return none, f"no fit ({error})"
    if not fit.converged:
        return none, "no convergence"
    low, high = fit.conf_int().loc["Intercept"]
    if max(fit.vcomp) / known["gap"].var() < LEAST or high - low > 6 * known["gap"].std():
        return none, "no variance between languages or seeds"
    return (fit.params["Intercept"], low, high, fit.pvalues["Intercept"]), ""
