// Lists of addresses, networks, domains and hashes: threat intelligence, and what is known to be good.
#include <algorithm>

#include "pipeline/enrich/compile.h"

namespace triaged::enrich {
namespace {

constexpr size_t kMaxDomain = 253;  // RFC 1035, without the last dot

bool IsHash(std::string_view lower) {
  if (lower.size() != 32 && lower.size() != 40 && lower.size() != 64) return false;
  return std::all_of(lower.begin(), lower.end(), [](char ch) { return (ch >= '0' && ch <= '9') || (ch >= 'a' && ch <= 'f'); });
}

bool IsDomain(std::string_view lower) {
  if (lower.empty() || lower.size() > kMaxDomain || lower.find('.') == std::string_view::npos) return false;
  char before = '.';
  for (char ch : lower) {
    if (ch == '.' && before == '.') return false;
    const bool letter = (ch >= 'a' && ch <= 'z') || (ch >= '0' && ch <= '9') || ch == '-' || ch == '_' || ch == '.';
    if (!letter) return false;
    before = ch;
  }
  // An address with a slip in it is no domain.
  const std::string_view last = lower.substr(lower.rfind('.') + 1);
  return !last.empty() && !std::all_of(last.begin(), last.end(), [](char ch) { return ch >= '0' && ch <= '9'; });
}

std::string Explanation(std::string_view value) {
  if (value.find("[.]") != std::string_view::npos || value.starts_with("hxxp")) return "write it as it is, not defanged";
  if (value.find("://") != std::string_view::npos) return "addresses are not looked up by URL: list the domain";
  return "an address, a network, a domain, or a hash (MD5, SHA-1, SHA-256)";
}

}  // namespace

// The same value in one list twice keeps the later expiry; in two lists it is chained, in the order of the lists.
void Builder::Chain(KeyTable* keys, std::string_view key, const Indicator& entry, IndicatorTable* table) {
  const auto number = static_cast<uint32_t>(table->entries.size());
  uint32_t at = keys->Add(key, number);
  while (at != number) {
    Indicator& there = table->entries[at];
    if (there.list == entry.list) {
      there.expires_ms = std::max(there.expires_ms, entry.expires_ms);
      there.subdomains = there.subdomains || entry.subdomains;
      return;
    }
    if (there.next == kNone) there.next = number;
    at = there.next;
  }
  table->entries.push_back(entry);
}

void Builder::AddIndicator(FileProblems* problems, int line, std::string_view value, Indicator entry,
                           IndicatorTable* table) {
  if (table->entries.size() >= kMaxIndicators) {
    return problems->Error(line, "more than " + std::to_string(kMaxIndicators) + " values");
  }
  if (value.size() > kMaxEnrichmentCell) return problems->Error(line, "a value is longer than 1024 bytes");
  bool host_bits = false;
  if (const auto network = ParseNetwork(value, &host_bits)) {
    if (host_bits) return problems->Error(line, "bits are set beyond the prefix");
    if (network->prefix == 128) {
      const auto bytes = network->first.Bytes();
      return Chain(&table->addresses, {bytes.data(), bytes.size()}, entry, table);
    }
    entry.text = Text(value);
    table->networks.Add(*network, static_cast<uint32_t>(table->entries.size()));
    table->entries.push_back(entry);
    return;
  }
  const std::string lower = Lower(value);
  if (IsHash(lower)) return Chain(&table->hashes, lower, entry, table);
  std::string_view domain = lower;
  const bool wildcard = domain.starts_with("*.") || domain.starts_with(".");
  if (wildcard) domain.remove_prefix(domain.front() == '*' ? 2 : 1);
  if (domain.ends_with('.')) domain.remove_suffix(1);
  if (!IsDomain(domain)) return problems->Error(line, "this is no indicator", Explanation(lower));
  entry.subdomains = entry.subdomains || wildcard;
  Chain(&table->domains, domain, entry, table);
}

// A value a line; # and ; begin comments.
void Builder::ReadIndicatorLines(FileProblems* problems, IndicatorTable* table, uint32_t list) {
  const EnrichmentSpec& spec = problems->input().spec;
  std::string_view rest = problems->input().data.text;
  if (rest.starts_with("\xef\xbb\xbf")) rest.remove_prefix(3);
  Indicator entry;
  entry.list = list;
  entry.confidence = Text(spec.confidence);
  entry.subdomains = spec.subdomains;
  if (spec.expires) entry.expires_ms = ToUnixMillis(*spec.expires);
  for (int line = 1; !rest.empty(); ++line) {
    std::string_view value = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(value.size() + 1, rest.size()));
    value = value.substr(0, value.find_first_of("#;"));
    const size_t begin = value.find_first_not_of(" \t\r");
    if (begin == std::string_view::npos) continue;
    value = value.substr(begin, value.find_last_not_of(" \t\r") + 1 - begin);
    AddIndicator(problems, line, value, entry, table);
  }
}

void Builder::ReadIndicatorSheet(FileProblems* problems, IndicatorTable* table, uint32_t list) {
  const EnrichmentSpec& spec = problems->input().spec;
  Sheet sheet(problems);
  while (sheet.Next()) {
    Indicator entry;
    entry.list = list;
    entry.subdomains = spec.subdomains;
    entry.description = Text(sheet.Cell("description"));
    entry.confidence = Text(spec.confidence);
    if (spec.expires) entry.expires_ms = ToUnixMillis(*spec.expires);
    if (const std::string_view text = sheet.Cell("confidence"); !text.empty()) {
      const auto confidence = ParseConfidence(text);
      if (!confidence) problems->Error(sheet.line(), "no confidence", "None, Low, Medium, High, or 0 to 100");
      entry.confidence = Text(confidence.value_or(""));
    }
    if (const std::string_view text = sheet.Cell("expires"); !text.empty()) {
      const auto expires = ParseExpiry(text);
      if (!expires) problems->Error(sheet.line(), "`expires` is no time", "RFC 3339 (2026-12-31T00:00:00Z) or a day");
      if (expires) entry.expires_ms = ToUnixMillis(*expires);
    }
    AddIndicator(problems, sheet.line(), sheet.Cell("value"), entry, table);
  }
}

void Builder::ReadIndicators(FileProblems* problems, IndicatorTable* table) {
  const auto list = static_cast<uint32_t>(table->lists.size());
  table->lists.push_back({Text(problems->input().spec.feed), Text(problems->Provenance(0))});
  if (problems->input().data.name.ends_with(".csv")) {
    ReadIndicatorSheet(problems, table, list);
  } else {
    ReadIndicatorLines(problems, table, list);
  }
}

// Equal networks of several lists become one chain, as equal values of the other kinds are.
void Builder::FinishIndicators(IndicatorTable* table) {
  for (const auto& [number, kept] : table->networks.Finish()) {
    uint32_t at = kept;
    while (table->entries[at].next != kNone) at = table->entries[at].next;
    table->entries[at].next = number;
  }
  for (KeyTable* keys : {&table->addresses, &table->domains, &table->hashes}) keys->Finish();
  table->entries.shrink_to_fit();
}

}  // namespace triaged::enrich
