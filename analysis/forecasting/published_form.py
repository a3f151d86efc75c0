"""A fitted candidate as the public law it is a fit of, where there is one."""

import numpy as np

from analysis.forecasting.ensemble import MemberFit
from analysis.forecasting.members import curve_forms, surface_forms
from scaling.laws.base import Law
from scaling.laws.curves import PowerLaw, ShiftedPowerLaw
from scaling.laws.surfaces import Chinchilla, Overtraining, Skaling


def public_law(member: MemberFit) -> Law | None:
    """The law in its published constants, or None for a form that `scaling.laws.registry` lacks.

    Fits are centred on the largest runs and relative to the lowest loss; here both are undone.
    """
    form, theta, low = member.candidate.form, member.solution.theta, member.lowest
    if isinstance(form, surface_forms.SurfaceForm):
        if form in (surface_forms.BENDING, surface_forms.BADLY_TUNED):
            return None
        a, b, alpha, beta, k = (float(c[0]) for c in form.constants(theta[None]))
        floor = float(np.exp(theta[0] + low))
        log_n, log_d = (float(c) for c in member.centre)
        log_a, log_b = a + alpha * log_n + low, b + beta * log_d + low
        if form is surface_forms.COUPLED:
            ratio = (log_b - log_a) / k
            return Skaling(
                E=floor, A=np.exp(log_a), R=np.exp(ratio), alpha=alpha / k, beta=beta / k, k=k
            )
        if form is surface_forms.SHARED:
            return Overtraining(E=floor, A=np.exp(log_a), B=np.exp(log_b), alpha=alpha)
        return Chinchilla(E=floor, A=np.exp(log_a), B=np.exp(log_b), alpha=alpha, beta=beta)
    centre = float(member.centre[0])
    if form is curve_forms.POWER:
        exponent = float(np.exp(theta[1]))
        return PowerLaw(a=np.exp(theta[0] + exponent * centre + low), b=-exponent, c=0.0)
    if form in (curve_forms.FLOORED, curve_forms.SHIFTED):
        exponent = float(np.exp(theta[2]))
        a, c = np.exp(theta[1] + exponent * centre + low), np.exp(theta[0] + low)
        if form is curve_forms.FLOORED:
            return PowerLaw(a=a, b=-exponent, c=c)
        return ShiftedPowerLaw(a=a, b=-exponent, c=c, s=np.exp(theta[3] + centre))
    return None
