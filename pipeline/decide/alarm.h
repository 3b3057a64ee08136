// Alarm: what rules say of one alert that a word for all alike (a rule that closes noise, a silence over others) may not
// answer for it.
#pragma once

#include "pipeline/decide/merge.h"

namespace triaged {

// Whether a rule, other than those that call the alert a false positive, says that it is real, that it is worse than the
// alert says itself, or gives a tag or classification by which alone the policy escalates, raises or engages somebody.
bool RaisesAlarm(const Policy& policy, const IncomingAlert& incoming);

// The rule that may close this alert by itself at `now`: the alert's verdict is a false positive whose rule names an owner
// and an expiry that has not passed, all rules fitted the alert's budget, and none raises an alarm. nullptr: none may.
const Rule* ClosingRule(const Policy& policy, const IncomingAlert& incoming, Timestamp now);

}  // namespace triaged
