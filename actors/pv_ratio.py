"""How much of evcc's solar forecast really arrives: one learned, bounded ratio."""

from engine.values import Value

LEAST, MOST = 0.3, 3.0
SUNNY = 0.05
"""Share of the forecast's peak from which on a slot says something about the plant (INV-34)."""
KEEP = 0.995
"""Per sunny slot: about a week's sunshine is remembered."""
PRIOR = 4.0
"""As if one hour at the peak had arrived as forecast."""


class Ratio(Value, frozen=True):
    """Decaying sums of measured and forecast energy in units of the forecast's peak.

    Their quotient moves towards the present ratio without ever passing it (INV-32).
    """

    measured: float = PRIOR
    forecast: float = PRIOR

    @property
    def value(self) -> float:
        """Measured over forecast energy, within 0.3 to 3."""
        return max(LEAST, min(self.measured / self.forecast, MOST))


def learnt_ratio(ratio: Ratio, measured_w: float, forecast_w: float, peak_w: float) -> Ratio:
    """The ratio after one slot with the *uncorrected* forecast; dark slots teach nothing."""
    if forecast_w < SUNNY * peak_w or forecast_w <= 0:
        return ratio
    # an outlier (dirty reading, tariff of another plant) counts as the bound
    measured_w = min(measured_w, MOST * forecast_w)
    return Ratio(
        ratio.measured * KEEP + measured_w / peak_w, ratio.forecast * KEEP + forecast_w / peak_w
    )
