"""The English sentences and terms. The syntax is told in `words.py`; no jargon."""

from collections.abc import Mapping

SAVES = (
    "[ That saves {saves_eur_kwh} per kWh.][ Over the whole plan it saves at least {saves_eur}.]"
)
"""What doing otherwise would cost, where that is known and more than nothing."""
LEAVES = "[ It gets no cheaper in time before departure {departure_at}.]"
"""Where a departure makes a car charge, whatever feeds it."""
SENTENCES: Mapping[str, str] = {
    # why a plan was made
    "plan_optimal": "Cheapest plan[: electricity bill {cost_eur}][, prices known for {known_h}]"
    "[, at most {gap_eur} above the best].",
    "plan_optimal_no_sun_forecast": "Cheapest plan without a sun forecast from evcc"
    "[: electricity bill {cost_eur}][, prices known for {known_h}][, at most {gap_eur} above the "
    "best].",
    "plan_first": "The first plan.",
    "plan_new_slot": "The plan of the new quarter hour.",
    "plan_prices_changed": "New prices arrived[: saves {saves_eur}].",
    "plan_turns_changed": "Who charges at the wallbox, or how much, has changed.",
    "plan_forecast_changed": "The forecast of sun or consumption has changed.",
    "plan_corrected": "The learner's correction for this quarter hour.",
    "plan_soc_off": "The charge differs from the plan[: {soc_pct}, not {planned_pct}].",
    "plan_by_rules": "Simple rules instead of a plan[: electricity bill {cost_eur}]"
    "[, prices known for {known_h}].",
    "plan_by_rules_no_prices": "No prices known: cars charge for their departures only"
    "[; electricity bill about {cost_eur}].",
    "plan_evcc_alone": "No plan possible[, missing: {missing}]. evcc runs alone.",
    "evcc_alone": "No plan possible: evcc runs alone.",
    # the house battery
    "battery_serves": "The house battery serves the house[: power costs {price_eur_kwh}, stored "
    "energy is worth {value_eur_kwh}]." + SAVES,
    "battery_keeps": "The house battery waits for dearer hours[: power costs {price_eur_kwh}, "
    "stored energy is worth {value_eur_kwh}]." + SAVES,
    "battery_buys": "The house battery charges from the grid[: power costs {price_eur_kwh} and "
    "is worth {value_eur_kwh} once stored]." + SAVES,
    "battery_takes_sun": "The house battery charges from the sun[; stored it is worth "
    "{value_eur_kwh}]." + SAVES,
    "battery_waits": "Neither charging nor holding the house battery would pay now." + SAVES,
    "battery_serves_by_rule": "The house battery serves the house, as without a plan.",
    "no_battery": "There is no house battery.",
    "battery_not_controllable": "evcc cannot control this house battery.",
    "grid_charging_off": "Charging the house battery from the grid is switched off.",
    "battery_too_dear": "The house battery buys nothing[ at {price_eur_kwh}]: that is above its "
    "ceiling[ of {ceiling_eur_kwh}].",
    "battery_not_for_cars": "The house battery is held, so that it does not feed a car.",
    "dimmed": "The grid operator limits power at present: the house battery does not charge from "
    "the grid.",
    # cars
    "car_cheap": "[{vehicle}: ]charges now, power is cheap[ ({price_eur_kwh})]." + SAVES,
    "car_deadline": "[{vehicle}: ]charges now, otherwise time runs out"
    "[ before departure {departure_at}][; {need_kwh} still missing]." + SAVES,
    "car_above_ceiling": "[{vehicle}: ]charges above its ceiling[ of {ceiling_eur_kwh}][, at "
    "{price_eur_kwh}]: otherwise it would not be ready[ for its departure {departure_at}].",
    "car_at_once": "[{vehicle}: ]charges at once, as asked." + SAVES,
    "car_sun": "[{vehicle}: ]charges from surplus sun." + LEAVES + SAVES,
    "car_sun_and_grid": "[{vehicle}: ]charges from the sun and a little from the grid"
    "[ ({price_eur_kwh})]." + LEAVES + SAVES,
    "car_waits": "[{vehicle}: ]waits for cheaper power[: {next_price_eur_kwh} {next_at}]"
    "[ instead of {price_eur_kwh} now].[ Below {limit_eur_kwh} it would charge now.]" + SAVES,
    "car_waits_for_sun": "[{vehicle}: ]waits for the sun[; {price_eur_kwh} from the grid is too "
    "dear][, below {limit_eur_kwh} it would charge]." + SAVES,
    "battery_reserve": "The house battery keeps its reserve[ of {reserve_pct}][: power costs "
    "{price_eur_kwh}, stored energy is worth {value_eur_kwh}].",
    "car_from_battery": "[{vehicle}: ]charges from the house battery at low power"
    "[; from the grid it would be {price_eur_kwh}]." + LEAVES + SAVES,
    "car_waits_for_battery": "[{vehicle}: ]will charge from the house battery[, from {next_at}]"
    "[ instead of for {price_eur_kwh} now].[ Below {limit_eur_kwh} it would charge now.]" + SAVES,
    "car_done": "[{vehicle}: ]gets all that it needs by the plan.",
    "car_negative_price": "[{vehicle}: ]charges because power pays[: {price_eur_kwh}]."
    + LEAVES
    + SAVES,
    "car_takes_sun_only": "[{vehicle}: ]takes surplus sun only.",
    "car_not_plugged_in": "[{vehicle}: ]is not plugged in, and by the plan swapping cars does not "
    "pay.",
    "car_plugged_in_later": "[{vehicle}: ]is to be plugged in by the plan[, {next_at}].",
    "car_makes_way": "[{vehicle}: ]makes way by the plan[ for {other}][, from {next_at}].",
    "battery_full": "The house battery is full.",
    "battery_grid_limit": "The house battery would charge, but the house connection gives no more[ "
    "(allowed {limit_kw})].",
    "car_before_departure": "[{vehicle}: ]charges now[ at {price_eur_kwh}]: it gets no "
    "cheaper in time[ "
    "before departure {departure_at}]." + SAVES,
    "car_own_power": "[{vehicle}: ]charges now too[ at {price_eur_kwh}]: its own power[ of "
    "{limit_kw}] is not enough for the cheaper hours alone." + SAVES,
    "car_grid_limit": "[{vehicle}: ]charges now too[ at {price_eur_kwh}]: the house "
    "connection gives "
    "no more in the cheaper hours[ (allowed {limit_kw})]." + SAVES,
    "car_waits_for_room": "[{vehicle}: ]waits[ until {next_at}], the house connection gives "
    "no more[ "
    "(allowed {limit_kw})]." + SAVES,
    "car_waits_as_well": "[{vehicle}: ]will charge later[, from {next_at}], which costs no more."
    + SAVES,
    "car_waits_by_rule": "[{vehicle}: ]waits for cheaper hours[ from {next_at}].",
    # what power proves, and the fuse
    "battery_again": "The house battery does not do what evcc shows[: {mode}]; the mode is left "
    "and set again.",
    "battery_not_obeyed": "The house battery does not do what it was told[: {mode}] and is left "
    "to itself for an hour. A reserve or maximum of its own belongs into the settings.",
    "battery_fuse": "The house battery does not charge from the grid, the house connection would "
    "be overloaded[ ({adds_kw} more, {import_kw} now, {limit_kw} allowed)].",
    "battery_fuse_phase": "The house battery does not charge from the grid, a phase of the house "
    "connection would be overloaded[ ({adds_a} more, {import_a} now, {limit_a} allowed)].",
    "battery_serves_fuse": "The house battery serves the house, the connection would be overloaded "
    "otherwise[ ({import_kw} now, {limit_kw} allowed)][ ({import_a} now, {limit_a} allowed)].",
    "battery_unmeasured": "The house battery does not charge from the grid: nobody measures at "
    "present what the house draws.",
    "car_again": "[{vehicle}: ]takes no power though it should; the charge mode is left and set "
    "again.",
    "car_not_obeyed": "[{vehicle}: ]still takes no power though it should, and is tried again "
    "after an hour. Please look at wallbox and cable.",
    "car_fuse": "[{vehicle}: ]takes surplus sun only, the house connection would be overloaded[ "
    "({adds_kw} more, {import_kw} now, {limit_kw} allowed)].",
    "car_draw_not_obeyed": "[{vehicle}: ]takes power though it should wait. Please look at "
    "the wallbox.",
    "car_deadline_unmetered": "[{vehicle}: ]charges for its departure[ {departure_at}] although a "
    "meter has failed.",
    "car_waits_unmetered": "[{vehicle}: ]waits for the last safe hours before its departure"
    "[, from {next_at}]: a meter has failed.",
    "car_unmeasured_least": "[{vehicle}: ]charges for its departure at the least power: nobody "
    "measures at present what the house draws.",
    "car_fuse_phase": "[{vehicle}: ]takes surplus sun only, a phase of the house connection would "
    "be overloaded[ ({adds_a} more, {import_a} now, {limit_a} allowed)].",
    "car_fuse_least": "[{vehicle}: ]charges at the least power, the house connection would be "
    "overloaded[ ({adds_kw} more, {import_kw} now, {limit_kw} allowed)].",
    "car_fuse_phase_least": "[{vehicle}: ]charges at the least power, a phase of the house "
    "connection would be overloaded[ ({adds_a} more, {import_a} now, {limit_a} allowed)].",
    "car_unmeasured": "[{vehicle}: ]takes surplus sun only: nobody measures at present what the "
    "house draws.",
    # turns at the wallbox
    "turn_connected": "[{vehicle}: ]is plugged in and has its turn.",
    "turn_late": "[{vehicle}: ]was not ready at departure and goes on charging.",
    "turn_complete": "[{vehicle}: ]has charged all that it is to get[ ({soc_pct})].",
    "turn_complete_energy": "[{loadpoint}: ]charging is complete[ ({energy_kwh})].",
    "turn_guest": "[{loadpoint}: ]a guest charges[ {energy_kwh}].",
    "turn_none": "Nobody has a turn here.",
    "swap_asked": "Please swap cars[: {vehicle}][ at {loadpoint}][, needs {need_kwh}]"
    "[ by {departure_at}].",
    "swap_asked_no_departure": "Please swap cars[: {vehicle}][ at {loadpoint}]"
    "[, needs {need_kwh}].",
    "swap_planned": "Please swap cars[ by {swap_at}][: {vehicle}][ at {loadpoint}]"
    "[, needs {need_kwh}][ by {departure_at}].",
    # who is in control
    "watching": "Watching only.[ My decision would be: {would}]",
    "switched_off": "SmartLoad is switched off.[ The decision would be: {would}]",
    "human_mode": "You are in control[: {mode}], until unplugged or at the target.",
    "human_limit_soc": "You have set the limit[: {limit_pct}].",
    "human_limit_energy": "You have set the limit[: {limit_kwh}].",
    "evcc_plan": "evcc is carrying out a charging plan of its own here.",
    "evcc_optimizer": "evcc's optimizer is in control.",
    "no_plan": "There is no plan yet.",
    "no_reading": "evcc has not been read yet.",
    "plan_too_old": "The last plan is too old[ ({age_min})]: evcc runs on its own.",
    "reading_too_old": "The last readings are too old[ ({age_s})]: nothing new is decided.",
    "no_prices": "No prices known: the house battery does not charge from the grid.",
    "stopping": "SmartLoad is stopping and gives everything back.",
    "hands_off": "SmartLoad is in trouble and gives everything back to evcc"
    "[: {actor}][ reports {error}].",
    "limit_of_block": "Charging limit for these hours[: {limit_pct}].",
    "limit_of_block_kwh": "Charging limit for these hours[: {limit_kwh}].",
    "restore_user": "Your own setting holds again.",
    "will_departure": "[{vehicle}: ]without SmartLoad evcc alone charges"
    "[ for the departure {departure_at}].",
    "will_plan_over": "[{vehicle}: ]evcc's plan of the time without SmartLoad is no longer needed.",
    "trial": "This setting is being tried and is given back.",
    # troubles
    "meter_frozen": "A meter has stopped moving[: {meter}][ {loadpoint}][, since {since_at}]: "
    "nothing is learnt from it.",
    "meter_unbalanced": "The measured powers do not add up[: {meter}][ {loadpoint}]"
    "[, since {since_at}]: nothing is learnt from them.",
    "meter_zero": "A meter reads zero and cannot be right[: {meter}][ {loadpoint}]"
    "[, since {since_at}].",
    "meter_soc_stands": "The charge of the house battery has stopped moving although it works"
    "[: {meter}][ {loadpoint}][, since {since_at}].",
    "meter_missing": "evcc does not show a meter any more[: {meter}][ {loadpoint}]"
    "[, since {since_at}].",
    "meters_failed": "A meter has failed[: {meter}][, since {since_at}]: nothing new is decided on "
    "it.",
    "evcc_silent": "evcc is unreachable[ since {since_at}], evcc runs on its own[ ({reason})].",
    "tariff_failed": "evcc gives no prices[ since {since_at}].",
    "order_failed": "evcc did not take a setting[: {setting}][ at {loadpoint}][ ({reason})].",
    "battery_refused": "evcc did not take the house battery's mode[: {mode}][ ({reason})].",
    "actor_failed": "A part of SmartLoad failed and was started again[: {actor}][ ({error})].",
    "goal_at_risk": "[{vehicle}: ]goal at risk[ for departure {departure_at}]"
    "[, {missing_kwh} missing].",
}

LABELS: Mapping[str, str] = {
    "off": "Off",
    "pv": "Solar",
    "minpv": "Min+Solar",
    "now": "Fast",
    "unknown": "unknown",
    "normal": "normal",
    "hold": "hold",
    "charge": "charge",
    "holdcharge": "no charging",
    "smartload": "SmartLoad",
    "evcc": "evcc",
    "evcc_optimizer": "evcc's optimizer",
    "human": "you",
    "battery_mode": "house battery",
    "mode": "charge mode",
    "limit_soc": "charging limit",
    "limit_energy": "energy limit",
    "plan_soc": "evcc's plan",
    "plan_energy": "evcc's plan",
    "state": "readings",
    "forecast": "forecast",
    "battery": "house battery",
    "grid_meter": "grid",
    "home_meter": "house",
    "pv_meter": "sun",
    "battery_meter": "house battery",
    "loadpoint_meter": "wallbox",
}
