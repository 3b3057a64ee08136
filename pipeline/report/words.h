// Words: the names that the engine itself gives to states, events, clocks and reasons, in a language of the reports. Names
// that a pack gives (levels, criteria, roles) stay as they are.
#pragma once

#include <string>

#include "pipeline/report/template_text.h"

namespace triaged {

// `name` itself where there is no other word for it.
std::string Worded(const std::string& name, Language language);

}  // namespace triaged
