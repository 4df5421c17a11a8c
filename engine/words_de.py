"""The German sentences and terms. The syntax is told in `words.py`; `du`, no jargon."""

from collections.abc import Mapping

SAVES = "[ Das spart {saves_eur_kwh} je kWh.][ Im ganzen Plan spart es mindestens {saves_eur}.]"
"""What doing otherwise would cost, where that is known and more than nothing."""
LEAVES = "[ Billiger wird es nicht mehr rechtzeitig vor der Abfahrt {departure_at}.]"
"""Where a departure makes a car charge, whatever feeds it."""
SENTENCES: Mapping[str, str] = {
    # why a plan was made
    "plan_optimal": "Günstigster Plan[: Stromrechnung {cost_eur}][, Preise bekannt für {known_h}]"
    "[, höchstens {gap_eur} über dem besten].",
    "plan_optimal_no_sun_forecast": "Günstigster Plan ohne Sonnenvorhersage von evcc"
    "[: Stromrechnung {cost_eur}][, Preise bekannt für {known_h}][, höchstens {gap_eur} über dem "
    "besten].",
    "plan_first": "Der erste Plan.",
    "plan_new_slot": "Der Plan der neuen Viertelstunde.",
    "plan_prices_changed": "Neue Preise sind da[: {saves_eur} gespart].",
    "plan_turns_changed": "An der Wallbox hat sich geändert, wer lädt oder wie viel.",
    "plan_forecast_changed": "Die Vorhersage von Sonne oder Verbrauch hat sich geändert.",
    "plan_corrected": "Die Korrektur des Lernenden für diese Viertelstunde.",
    "plan_soc_off": "Der Ladestand weicht vom Plan ab[: {soc_pct} statt {planned_pct}].",
    "plan_by_rules": "Einfache Regeln statt Plan[: Stromrechnung {cost_eur}]"
    "[, Preise bekannt für {known_h}].",
    "plan_by_rules_no_prices": "Keine Preise bekannt: Autos laden nur für ihre Abfahrt"
    "[; Stromrechnung etwa {cost_eur}].",
    "plan_evcc_alone": "Kein Plan möglich[, es fehlt: {missing}]. evcc regelt allein.",
    "evcc_alone": "Kein Plan möglich: evcc regelt allein.",
    # the house battery
    "battery_serves": "Der Haus-Akku versorgt das Haus[: Strom kostet {price_eur_kwh}, "
    "gespeicherter ist {value_eur_kwh} wert]." + SAVES,
    "battery_keeps": "Der Haus-Akku wartet auf teurere Stunden[: Strom kostet {price_eur_kwh}, "
    "gespeicherter ist {value_eur_kwh} wert]." + SAVES,
    "battery_buys": "Der Haus-Akku lädt aus dem Netz[: Strom kostet {price_eur_kwh} und ist "
    "gespeichert {value_eur_kwh} wert]." + SAVES,
    "battery_takes_sun": "Der Haus-Akku lädt mit Sonne[; gespeichert ist sie {value_eur_kwh} "
    "wert]." + SAVES,
    "battery_waits": "Den Haus-Akku zu laden oder zu halten lohnt jetzt nicht." + SAVES,
    "battery_serves_by_rule": "Der Haus-Akku versorgt das Haus, wie ohne Plan.",
    "no_battery": "Es gibt keinen Haus-Akku.",
    "battery_not_controllable": "evcc kann diesen Haus-Akku nicht steuern.",
    "grid_charging_off": "Laden des Haus-Akkus aus dem Netz ist ausgeschaltet.",
    "battery_too_dear": "Der Haus-Akku kauft[ für {price_eur_kwh}] nichts: Das liegt über seinem "
    "Höchstpreis[ von {ceiling_eur_kwh}].",
    "battery_not_for_cars": "Der Haus-Akku wird gehalten, damit er kein Auto lädt.",
    "dimmed": "Der Netzbetreiber begrenzt gerade die Leistung: der Haus-Akku lädt nicht aus dem "
    "Netz.",
    # cars
    "car_cheap": "[{vehicle}: ]lädt jetzt, Strom ist günstig[ ({price_eur_kwh})]." + SAVES,
    "car_deadline": "[{vehicle}: ]lädt jetzt, sonst reicht die Zeit nicht"
    "[ bis zur Abfahrt {departure_at}][; {need_kwh} fehlen noch]." + SAVES,
    "car_above_ceiling": "[{vehicle}: ]lädt über dem Höchstpreis[ von {ceiling_eur_kwh}][, für "
    "{price_eur_kwh}]: sonst würde es[ zur Abfahrt {departure_at}] nicht fertig.",
    "car_at_once": "[{vehicle}: ]lädt sofort, wie gewünscht." + SAVES,
    "car_sun": "[{vehicle}: ]lädt mit überschüssiger Sonne." + LEAVES + SAVES,
    "car_sun_and_grid": "[{vehicle}: ]lädt mit Sonne und etwas Strom aus dem Netz"
    "[ ({price_eur_kwh})]." + LEAVES + SAVES,
    "car_waits": "[{vehicle}: ]wartet auf billigeren Strom[: {next_price_eur_kwh} {next_at}]"
    "[ statt {price_eur_kwh} jetzt].[ Unter {limit_eur_kwh} würde es jetzt laden.]" + SAVES,
    "car_waits_for_sun": "[{vehicle}: ]wartet auf Sonne[; {price_eur_kwh} aus dem Netz ist zu "
    "teuer][, unter {limit_eur_kwh} würde es laden]." + SAVES,
    "battery_reserve": "Der Haus-Akku behält seine Reserve[ von {reserve_pct}][: Strom "
    "kostet {price_eur_kwh}, gespeicherter ist {value_eur_kwh} wert].",
    "car_from_battery": "[{vehicle}: ]lädt aus dem Haus-Akku mit kleiner Leistung"
    "[; aus dem Netz wären es {price_eur_kwh}]." + LEAVES + SAVES,
    "car_waits_for_battery": "[{vehicle}: ]lädt später aus dem Haus-Akku[, ab {next_at}]"
    "[ statt für {price_eur_kwh} jetzt].[ Unter {limit_eur_kwh} würde es jetzt laden.]" + SAVES,
    "car_done": "[{vehicle}: ]bekommt nach Plan alles, was es braucht.",
    "car_negative_price": "[{vehicle}: ]lädt, weil Strom Geld bringt[: {price_eur_kwh}]."
    + LEAVES
    + SAVES,
    "car_takes_sun_only": "[{vehicle}: ]nimmt nur überschüssige Sonne.",
    "car_not_plugged_in": "[{vehicle}: ]ist nicht angesteckt, und umzustecken lohnt sich nach Plan "
    "nicht.",
    "car_plugged_in_later": "[{vehicle}: ]soll nach Plan angesteckt werden[, {next_at}].",
    "car_makes_way": "[{vehicle}: ]macht nach Plan Platz[ für {other}][, ab {next_at}].",
    "battery_full": "Der Haus-Akku ist voll.",
    "battery_grid_limit": "Der Haus-Akku würde gern laden, der Hausanschluss gibt nicht mehr her[ "
    "(erlaubt {limit_kw})].",
    "car_before_departure": "[{vehicle}: ]lädt jetzt[ für {price_eur_kwh}]: billiger wird es "
    "nicht mehr "
    "rechtzeitig[ vor der Abfahrt {departure_at}]." + SAVES,
    "car_own_power": "[{vehicle}: ]lädt auch jetzt[ für {price_eur_kwh}]: in den billigeren "
    "Stunden "
    "reicht die eigene Ladeleistung[ von {limit_kw}] nicht." + SAVES,
    "car_grid_limit": "[{vehicle}: ]lädt auch jetzt[ für {price_eur_kwh}]: in den billigeren "
    "Stunden "
    "gibt der Hausanschluss nicht mehr her[ (erlaubt {limit_kw})]." + SAVES,
    "car_waits_for_room": "[{vehicle}: ]wartet[ bis {next_at}], der Hausanschluss gibt nicht "
    "mehr her[ "
    "(erlaubt {limit_kw})]." + SAVES,
    "car_waits_as_well": "[{vehicle}: ]lädt später[, ab {next_at}], das kostet nicht mehr." + SAVES,
    "car_waits_by_rule": "[{vehicle}: ]wartet auf günstigere Stunden[ ab {next_at}].",
    # what power proves, and the fuse
    "battery_again": "Der Haus-Akku tut nicht, was evcc zeigt[: {mode}]; der Modus wird verlassen "
    "und neu gesetzt.",
    "battery_not_obeyed": "Der Haus-Akku tut nicht, was ihm gesagt wurde[: {mode}], und bleibt "
    "eine Stunde sich selbst überlassen. Eine eigene Reserve oder Obergrenze gehört in die "
    "Einstellungen.",
    "battery_fuse": "Der Haus-Akku lädt nicht aus dem Netz, der Hausanschluss wäre überlastet[ "
    "({adds_kw} mehr, jetzt {import_kw}, erlaubt {limit_kw})].",
    "battery_fuse_phase": "Der Haus-Akku lädt nicht aus dem Netz, eine Phase des Hausanschlusses "
    "wäre überlastet[ ({adds_a} mehr, jetzt {import_a}, erlaubt {limit_a})].",
    "battery_serves_fuse": "Der Haus-Akku versorgt das Haus, der Hausanschluss wäre sonst "
    "überlastet[ (jetzt {import_kw}, erlaubt {limit_kw})][ (jetzt {import_a}, erlaubt {limit_a})].",
    "battery_unmeasured": "Der Haus-Akku lädt nicht aus dem Netz: was das Haus bezieht, misst "
    "zurzeit niemand.",
    "car_again": "[{vehicle}: ]nimmt keinen Strom, obwohl es soll; der Lademodus wird verlassen "
    "und neu gesetzt.",
    "car_not_obeyed": "[{vehicle}: ]nimmt weiter keinen Strom, obwohl es soll; in einer Stunde ein "
    "neuer Versuch. Bitte Wallbox und Kabel ansehen.",
    "car_fuse": "[{vehicle}: ]nimmt nur Sonnenüberschuss, der Hausanschluss wäre sonst "
    "überlastet[ ({adds_kw} mehr, jetzt {import_kw}, erlaubt {limit_kw})].",
    "car_fuse_phase": "[{vehicle}: ]nimmt nur Sonnenüberschuss, eine Phase des Hausanschlusses "
    "wäre sonst überlastet[ ({adds_a} mehr, jetzt {import_a}, erlaubt {limit_a})].",
    "car_draw_not_obeyed": "[{vehicle}: ]nimmt Strom, obwohl es warten soll. Bitte die "
    "Wallbox ansehen.",
    "car_deadline_unmetered": "[{vehicle}: ]lädt für die Abfahrt[ {departure_at}], obwohl ein "
    "Zähler gestört ist.",
    "car_waits_unmetered": "[{vehicle}: ]wartet auf die letzten sicheren Stunden vor der Abfahrt"
    "[, ab {next_at}]: ein Zähler ist gestört.",
    "car_fuse_least": "[{vehicle}: ]lädt mit der kleinsten Leistung, der Hausanschluss wäre sonst "
    "überlastet[ ({adds_kw} mehr, jetzt {import_kw}, erlaubt {limit_kw})].",
    "car_fuse_phase_least": "[{vehicle}: ]lädt mit der kleinsten Leistung, eine Phase des "
    "Hausanschlusses wäre sonst überlastet[ ({adds_a} mehr, jetzt {import_a}, erlaubt {limit_a})].",
    "car_unmeasured_least": "[{vehicle}: ]lädt für die Abfahrt mit der kleinsten Leistung: was das "
    "Haus bezieht, misst zurzeit niemand.",
    "car_unmeasured": "[{vehicle}: ]nimmt nur Sonnenüberschuss: was das Haus bezieht, misst "
    "zurzeit niemand.",
    # turns at the wallbox
    "turn_connected": "[{vehicle}: ]steckt und ist an der Reihe.",
    "turn_late": "[{vehicle}: ]war zur Abfahrt nicht fertig und lädt weiter.",
    "turn_complete": "[{vehicle}: ]ist fertig geladen[ ({soc_pct})].",
    "turn_complete_energy": "[{loadpoint}: ]fertig geladen[ ({energy_kwh})].",
    "turn_guest": "[{loadpoint}: ]ein Gast lädt[ {energy_kwh}].",
    "turn_none": "Hier ist niemand an der Reihe.",
    "swap_asked": "Bitte umstecken[: {vehicle}][ an {loadpoint}][, braucht {need_kwh}]"
    "[ bis {departure_at}].",
    "swap_asked_no_departure": "Bitte umstecken[: {vehicle}][ an {loadpoint}]"
    "[, braucht {need_kwh}].",
    "swap_planned": "Bitte umstecken[ bis {swap_at}][: {vehicle}][ an {loadpoint}]"
    "[, braucht {need_kwh}][ bis {departure_at}].",
    # who is in control
    "watching": "Ich schaue nur zu.[ Meine Entscheidung wäre: {would}]",
    "switched_off": "SmartLoad ist ausgeschaltet.[ Die Entscheidung wäre: {would}]",
    "human_mode": "Du steuerst[: {mode}], bis abgesteckt oder das Ladeziel erreicht ist.",
    "human_limit_soc": "Du hast die Ladegrenze gesetzt[: {limit_pct}].",
    "human_limit_energy": "Du hast die Ladegrenze gesetzt[: {limit_kwh}].",
    "evcc_plan": "evcc führt hier gerade einen eigenen Ladeplan aus.",
    "evcc_optimizer": "Der evcc-Optimizer steuert.",
    "no_plan": "Es gibt noch keinen Plan.",
    "no_reading": "evcc wurde noch nicht gelesen.",
    "plan_too_old": "Der letzte Plan ist zu alt[ ({age_min})]: evcc regelt selbst.",
    "reading_too_old": "Die letzten Messwerte sind zu alt[ ({age_s})]: es wird nichts Neues "
    "entschieden.",
    "no_prices": "Keine Preise bekannt: der Haus-Akku lädt nicht aus dem Netz.",
    "stopping": "SmartLoad hält an und gibt alles zurück.",
    "hands_off": "SmartLoad ist gestört und gibt alles an evcc zurück[: {actor}][ meldet {error}].",
    "limit_of_block": "Ladegrenze für diese Stunden[: {limit_pct}].",
    "limit_of_block_kwh": "Ladegrenze für diese Stunden[: {limit_kwh}].",
    "restore_user": "Deine eigene Einstellung gilt wieder.",
    "will_departure": "[{vehicle}: ]ohne SmartLoad lädt evcc allein"
    "[ bis zur Abfahrt {departure_at}].",
    "will_plan_over": "[{vehicle}: ]evccs Plan aus der Zeit ohne SmartLoad wird nicht mehr "
    "gebraucht.",
    "trial": "Diese Einstellung wird erprobt und danach zurückgegeben.",
    # troubles
    "meter_frozen": "Ein Zähler steht[: {meter}][ {loadpoint}][, seit {since_at}]: aus ihm wird "
    "nichts gelernt.",
    "meter_unbalanced": "Die gemessenen Leistungen gehen nicht auf[: {meter}][ {loadpoint}]"
    "[, seit {since_at}]: aus ihnen wird nichts gelernt.",
    "meter_zero": "Ein Zähler zeigt null, und das kann nicht stimmen[: {meter}][ {loadpoint}]"
    "[, seit {since_at}].",
    "meter_soc_stands": "Der Ladestand des Haus-Akkus steht, obwohl er arbeitet"
    "[: {meter}][ {loadpoint}][, seit {since_at}].",
    "meter_missing": "evcc zeigt einen Zähler nicht mehr[: {meter}][ {loadpoint}]"
    "[, seit {since_at}].",
    "meters_failed": "Ein Zähler ist gestört[: {meter}][, seit {since_at}]: nach ihm wird nichts "
    "Neues entschieden.",
    "evcc_silent": "evcc ist nicht erreichbar[ seit {since_at}], evcc regelt selbst[ ({reason})].",
    "tariff_failed": "evcc liefert keine Preise[ seit {since_at}].",
    "order_failed": "evcc hat eine Einstellung nicht angenommen[: {setting}][ an {loadpoint}]"
    "[ ({reason})].",
    "battery_refused": "evcc hat den Modus des Haus-Akkus nicht angenommen[: {mode}][ ({reason})].",
    "actor_failed": "Ein Teil von SmartLoad ist gestört und wurde neu gestartet"
    "[: {actor}][ ({error})].",
    "goal_at_risk": "[{vehicle}: ]Ladeziel in Gefahr[ zur Abfahrt {departure_at}]"
    "[, {missing_kwh} fehlen].",
}

LABELS: Mapping[str, str] = {
    "off": "Aus",
    "pv": "Nur PV",
    "minpv": "Min+PV",
    "now": "Schnell",
    "unknown": "unbekannt",
    "normal": "normal",
    "hold": "halten",
    "charge": "laden",
    "holdcharge": "nicht laden",
    "smartload": "SmartLoad",
    "evcc": "evcc",
    "evcc_optimizer": "evcc-Optimizer",
    "human": "du",
    "battery_mode": "Haus-Akku",
    "mode": "Lademodus",
    "limit_soc": "Ladegrenze",
    "limit_energy": "Energiegrenze",
    "plan_soc": "Plan von evcc",
    "plan_energy": "Plan von evcc",
    "state": "Messwerte",
    "forecast": "Vorhersage",
    "battery": "Haus-Akku",
    "grid_meter": "Netz",
    "home_meter": "Haus",
    "pv_meter": "Sonne",
    "battery_meter": "Haus-Akku",
    "loadpoint_meter": "Wallbox",
}
