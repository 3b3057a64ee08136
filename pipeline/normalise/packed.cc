// Alerts that queues and log shippers packed into a text of a record of their own.
#include <re2/re2.h>

#include <algorithm>
#include <array>

#include "pipeline/normalise/normaliser_impl.h"

namespace triaged {
namespace {

constexpr size_t kMostPacked = 3;    // texts inside texts
constexpr size_t kMostHeader = 512;  // bytes of a syslog header

// The document that a text is, or that a syslog message is: behind a header of RFC 3164 or RFC 5424, perhaps without its
// priority or without all but that, and a cookie of CEE. Empty: none. A document behind other words may be those of somebody
// whom the text is about.
std::string_view DocumentOf(std::string_view text) {
  const size_t at = text.find('{');
  if (at == 0 || at > kMostHeader) return at == 0 ? text : std::string_view();
  static const RE2 header(R"((?:<\d{1,3}>(?:\S+: ?)?)"
                          R"(|(?:<\d{1,3}>)?\d \S+ \S+ \S+ \S+ \S+ (?:-|(?:\[[^\]]*\])+) (?:\xEF\xBB\xBF)?)"
                          R"(|(?:<\d{1,3}>)?(?:[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|\d{4}-\d\d-\d\dT\S+) \S+ (?:\S+: ?)?)"
                          R"(|)(?:@cee: ?)?)",
                          RE2::Latin1);
  return RE2::FullMatch(re2::StringPiece(text.data(), at), header) ? text.substr(at) : std::string_view();
}

}  // namespace

// A record that says nothing of a severity, a rule or its kind may be a courier's: then the text is the record. Of an alert
// that says something itself a text is a detail, perhaps the attacker's words.
const FormatTable& Normaliser::Impl::Unpack(const FormatTable& courier, std::string_view record) {
  const FormatTable* chosen = &courier;
  std::array<const FormatTable*, kMostPacked> couriers;
  for (size_t times = 0; times < kMostPacked; ++times) {
    const std::string_view document = PackedDocument(*chosen);
    if (document.empty()) break;
    if (extraction.Read(document)) {  // no document after all: back to what carried it
      extraction.Read(record);
      for (size_t i = 0; i < times; ++i) extraction.Read(PackedDocument(*couriers[i]));
      break;
    }
    couriers[times] = chosen;
    chosen = &Detect({});
  }
  return *chosen;
}

std::string_view Normaliser::Impl::PackedDocument(const FormatTable& courier) {
  const auto present = [&](PathTrie::Node node) { return Present(node); };
  if (std::none_of(courier.packed.begin(), courier.packed.end(), present)) return {};
  if (std::any_of(courier.telling.begin(), courier.telling.end(), present)) return {};
  for (PathTrie::Node node : courier.packed) {
    const Hit* const text = First(node);
    const std::string_view document = text ? DocumentOf(text->text) : std::string_view();
    if (!document.empty()) return document;
  }
  return {};
}

}  // namespace triaged
