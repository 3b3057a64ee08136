// RegexTexts: plain texts that a regular expression cannot match without, so that it runs only where one of them stands.
//
// Taken from RE2's own analysis (FilteredRE2); what it does not promise for values that are folded in ASCII only is left
// out. They can only save time: whether the expression matches, RE2 decides.
#pragma once

#include <re2/re2.h>

#include <string>
#include <vector>

namespace triaged::rules {

// In any value in which `regex` is found, one of these stands, letters in either case. Lower case, at least four bytes
// each; none: nothing is known.
std::vector<std::string> RegexTexts(const re2::RE2& regex);

}  // namespace triaged::rules
