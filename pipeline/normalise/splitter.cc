#include "pipeline/normalise/splitter.h"

#include <algorithm>

namespace triaged {
namespace {

constexpr std::string_view kSpace = " \t\r\n";
constexpr std::string_view kByteOrderMark = "\xef\xbb\xbf";

size_t SkipSpace(std::string_view text, size_t at) { return std::min(text.find_first_not_of(kSpace, at), text.size()); }

// Past the string that begins at `at`; npos when it does not end.
size_t PastString(std::string_view text, size_t at) {
  for (++at; at < text.size(); ++at) {
    if (text[at] == '\\') ++at;
    else if (text[at] == '"') return at + 1;
  }
  return std::string_view::npos;
}

// Past the value that begins at `at` (no white space there); npos when there is none, or it does not end. Brackets are
// only counted: whether they fit, and what stands between them, is for the parser.
size_t PastValue(std::string_view text, size_t at) {
  if (at >= text.size()) return std::string_view::npos;
  if (text[at] == '"') return PastString(text, at);
  if (text[at] != '{' && text[at] != '[') {
    const size_t end = std::min(text.find_first_of(" \t\r\n,:]}{[\"", at), text.size());
    return end == at ? std::string_view::npos : end;
  }
  size_t depth = 0;
  while (at < text.size()) {
    const char ch = text[at];
    if (ch == '"') {
      at = PastString(text, at);
      if (at == std::string_view::npos) return at;
      continue;
    }
    if (ch == '{' || ch == '[') ++depth;
    ++at;
    if ((ch == '}' || ch == ']') && --depth == 0) return at;
  }
  return std::string_view::npos;
}

class Splitting {
 public:
  Splitting(std::string_view record, const SplitSettings& settings, size_t max)
      : text_(record), settings_(settings), max_(max) {}

  std::vector<RecordPart> Run() {
    size_t at = text_.starts_with(kByteOrderMark) ? kByteOrderMark.size() : 0;
    at = SkipSpace(text_, at);
    while (at < text_.size()) {
      const size_t end = PastValue(text_, at);
      if (end == std::string_view::npos) {
        TakeUnended(at);
        return std::move(parts_);
      }
      const size_t next = SkipSpace(text_, end);
      if (!settings_.values && next < text_.size()) return {{text_, RecordPart::Kind::kAlert}};  // as if splitting were off
      if (!TakeValue(at, end)) return std::move(parts_);
      at = next;
    }
    if (parts_.empty()) parts_.push_back({text_, RecordPart::Kind::kAlert});
    return std::move(parts_);
  }

 private:
  // A value that does not end may be an array or an envelope whose first elements are whole.
  void TakeUnended(size_t at) {
    const size_t before = parts_.size();
    if (const size_t array = ArrayIn(at); array != std::string_view::npos) {
      const Enveloped enveloped(this, at);
      if (!TakeElements(array, text_.size())) return;
      at = parts_.size() == before ? at : past_array_;  // whole elements, and the envelope breaks off after them
    }
    if (at < text_.size()) Add(at, text_.size(), RecordPart::Kind::kBroken);
  }

  // False when the limit is reached: then everything left is a part already.
  bool TakeValue(size_t at, size_t end) {
    const size_t array = ArrayIn(at);
    if (array == std::string_view::npos) return Add(at, end, RecordPart::Kind::kAlert);
    const size_t before = parts_.size();
    const bool going = [&] {
      const Enveloped enveloped(this, at);
      return TakeElements(array, end);
    }();
    // An empty array holds no alert: the value is judged as it stands.
    return going && (parts_.size() > before || Add(at, end, RecordPart::Kind::kAlert));
  }

  // Where the array of alerts of the value at `at` begins; npos: the value is one alert.
  size_t ArrayIn(size_t at) const {
    if (text_[at] == '[') return settings_.array ? at : std::string_view::npos;
    if (text_[at] != '{') return std::string_view::npos;
    for (const std::string& path : settings_.under) {
      const size_t found = Descend(at, path);
      if (found != std::string_view::npos && text_[found] == '[') return found;
    }
    return std::string_view::npos;
  }

  // While it lives, parts are elements of an array inside the value at `at`, and get what stands around them.
  class Enveloped {
   public:
    Enveloped(Splitting* splitting, size_t at) : splitting_(splitting) { splitting->envelope_ = splitting->EnvelopeOf(at); }
    ~Enveloped() { splitting_->envelope_ = nullptr; }
    Enveloped(const Enveloped&) = delete;
    Enveloped& operator=(const Enveloped&) = delete;

   private:
    Splitting* splitting_;
  };

  std::shared_ptr<const std::string> EnvelopeOf(size_t at) const {
    if (settings_.envelope.empty() || text_[at] != '{') return nullptr;
    std::string members;
    for (const std::string& path : settings_.envelope) {
      const size_t value = Descend(at, path);
      const size_t end = value == std::string_view::npos ? value : PastValue(text_, value);
      if (end == std::string_view::npos || members.size() + path.size() + (end - value) > kMostEnvelope) continue;
      // The path was found key by key among texts of JSON: it needs no escapes.
      members.append(members.empty() ? "\"" : ",\"").append(path).append("\":").append(text_.substr(value, end - value));
    }
    return members.empty() ? nullptr : std::make_shared<const std::string>(std::move(members));
  }

  // The value at `path` inside the object at `at`; `a.b` and `a: {b}` are the same.
  size_t Descend(size_t at, std::string_view path) const {
    at = SkipSpace(text_, at + 1);
    while (at < text_.size() && text_[at] == '"') {
      const size_t key_end = PastString(text_, at);
      if (key_end == std::string_view::npos) return key_end;
      const std::string_view key = text_.substr(at + 1, key_end - at - 2);
      at = SkipSpace(text_, key_end);
      if (at >= text_.size() || text_[at] != ':') return std::string_view::npos;
      at = SkipSpace(text_, at + 1);
      if (at >= text_.size()) return std::string_view::npos;
      if (key == path) return at;
      if (path.starts_with(key) && path[key.size()] == '.' && text_[at] == '{') {
        const size_t below = Descend(at, path.substr(key.size() + 1));
        if (below != std::string_view::npos) return below;
      }
      const size_t end = PastValue(text_, at);
      if (end == std::string_view::npos) return end;
      at = SkipSpace(text_, end);
      if (at >= text_.size() || text_[at] != ',') return std::string_view::npos;
      at = SkipSpace(text_, at + 1);
    }
    return std::string_view::npos;
  }

  // The elements of the array that begins at `at`, inside a value that ends at `end`. False when nothing is left to take.
  bool TakeElements(size_t at, size_t end) {
    at = SkipSpace(text_, at + 1);
    past_array_ = at + 1;
    if (at < end && text_[at] == ']') return true;
    while (true) {
      const size_t past = PastValue(text_, at);
      if (past == std::string_view::npos || past > end) return TakeBroken(at);
      if (!Add(at, past, RecordPart::Kind::kAlert)) return false;
      at = SkipSpace(text_, past);
      past_array_ = at + 1;
      if (at < end && text_[at] == ']') return true;
      if (at >= end || text_[at] != ',') return TakeBroken(at);
      at = SkipSpace(text_, at + 1);
    }
  }

  // Where a value ends behind a break would be a guess: brackets were only counted.
  bool TakeBroken(size_t at) {
    Add(at, text_.size(), RecordPart::Kind::kBroken);
    return false;
  }

  bool Add(size_t at, size_t end, RecordPart::Kind kind) {
    if (parts_.size() == max_) {
      parts_.push_back({text_.substr(at), RecordPart::Kind::kRest});
      return false;
    }
    at = std::min(at, end);
    parts_.push_back({text_.substr(at, end - at), kind, kind == RecordPart::Kind::kAlert ? envelope_ : nullptr});
    return true;
  }

  std::string_view text_;
  const SplitSettings& settings_;
  size_t max_;
  size_t past_array_ = 0;  // of the array taken last
  std::shared_ptr<const std::string> envelope_;  // of the array being taken
  std::vector<RecordPart> parts_;
};

}  // namespace

void AddSplit(std::string_view entry, SplitSettings* settings) {
  if (entry == "values") {
    settings->values = true;
  } else if (entry == "array") {
    settings->array = true;
  } else {
    settings->under.emplace_back(entry);
  }
}

std::vector<RecordPart> SplitRecord(std::string_view record, const SplitSettings& settings, size_t max) {
  if (!settings.on()) return {{record, RecordPart::Kind::kAlert}};
  return Splitting(record, settings, max).Run();
}

std::string WithEnvelope(const RecordPart& part) {
  std::string text(part.bytes);
  if (!part.envelope || !text.starts_with('{')) return text;
  const size_t next = SkipSpace(text, 1);
  const bool alone = next < text.size() && text[next] == '}';
  return text.insert(1, "\"triaged.envelope\":{" + *part.envelope + (alone ? "}" : "},"));
}

}  // namespace triaged
