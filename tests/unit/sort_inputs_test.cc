// The order in which a step takes its inputs.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "pipeline/processor/processor.h"

namespace triaged {
namespace {

InputRecord At(std::string_view topic, int64_t offset, int64_t millis) {
  InputRecord input;
  input.topic = topic;
  input.offset = offset;
  input.timestamp = FromUnixMillis(millis);
  return input;
}

std::string Order(std::vector<InputRecord> inputs) {
  SortInputs(&inputs);
  std::string order;
  for (const InputRecord& input : inputs) order += std::string(input.topic) + std::to_string(input.offset) + " ";
  return order;
}

TEST_CASE("inputs are taken by time, then topic, then offset") {
  CHECK(Order({At("b", 0, 5), At("a", 7, 6), At("a", 8, 9), At("b", 1, 6)}) == "b0 a7 b1 a8 ");
  CHECK(Order({}).empty());
}

// A record that overtook an earlier one of its partition would move the progress past it: it would count as taken.
TEST_CASE("a stamp that is older than the one before it does not change the order of a partition") {
  CHECK(Order({At("a", 0, 50), At("a", 1, 10), At("a", 2, 60)}) == "a0 a1 a2 ");
  CHECK(Order({At("a", 0, 50), At("a", 1, 10), At("b", 4, 20), At("b", 5, 55)}) == "b4 a0 a1 b5 ");
}

// A step that takes only a beginning leaves a rest that a replay sorts by itself.
TEST_CASE("the rest of a sorted batch stands in its order") {
  const std::vector<InputRecord> batch = {At("a", 0, 50), At("a", 1, 10), At("a", 2, 70), At("b", 0, 50),
                                          At("b", 1, 30), At("b", 2, 60), At("c", 0, 49), At("c", 1, 50)};
  std::vector<InputRecord> sorted = batch;
  SortInputs(&sorted);
  for (size_t taken = 0; taken <= sorted.size(); ++taken) {
    const std::vector<InputRecord> rest(sorted.begin() + static_cast<ptrdiff_t>(taken), sorted.end());
    std::string expected;
    for (const InputRecord& input : rest) expected += std::string(input.topic) + std::to_string(input.offset) + " ";
    CHECK(Order(rest) == expected);
  }
}

}  // namespace
}  // namespace triaged
