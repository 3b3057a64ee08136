#include "pipeline/rules/source.h"

namespace triaged::rules {

std::string Suggest(std::string_view word, const std::vector<std::string_view>& candidates) {
  const std::string_view near = DidYouMean(word, candidates);
  return near.empty() ? std::string() : "did you mean '" + std::string(near) + "'?";
}

}  // namespace triaged::rules
