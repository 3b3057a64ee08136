#include "pipeline/normalise/match_pattern.h"

#include <algorithm>

namespace triaged {
namespace {

// A longer text is RE2's, whose time is linear: a row that may begin anywhere is tried from each byte on.
constexpr size_t kMostTried = 256;

}  // namespace

// Reads an expression into steps; whatever it does not know makes the whole one RE2's.
class MatchPattern::Reader {
 public:
  Reader(std::string_view text, MatchPattern* out) : text_(text), out_(out) {}

  bool Read() {
    out_->from_start_ = Take('^');
    while (at_ < text_.size() && !(text_[at_] == '$' && at_ + 1 == text_.size())) {
      if (!ReadItem()) return false;
    }
    out_->to_end_ = Take('$');
    return !open_ && !optional_ && !out_->steps_.empty();
  }

 private:
  bool Take(char ch) {
    if (at_ >= text_.size() || text_[at_] != ch) return false;
    ++at_;
    return true;
  }
  bool TakeText(std::string_view text) {
    if (!text_.substr(at_).starts_with(text)) return false;
    at_ += text.size();
    return true;
  }

  bool ReadItem() {
    if (TakeText("(?:")) {
      if (optional_) return false;
      optional_ = out_->steps_.size() + 1;
      out_->steps_.push_back({Step::Kind::kOptional, 0, 0, 0, {}});
      return true;
    }
    if (Take('(')) {
      if (open_ || out_->has_group_ || optional_ || (at_ < text_.size() && text_[at_] == '?')) return false;
      open_ = out_->has_group_ = true;
      out_->steps_.push_back({Step::Kind::kOpen, 0, 0, 0, {}});
      return true;
    }
    if (Take(')')) return Close();
    return ReadRepeat();
  }

  bool Close() {
    if (optional_) {
      // Without the question mark it would be a group of its own: not known here.
      const size_t first = optional_ - 1;
      const size_t covered = out_->steps_.size() - optional_;
      optional_ = 0;
      out_->steps_[first].skip = static_cast<uint16_t>(covered);
      return covered > 0 && covered < 1000 && Take('?') && !AtQuantifier();
    }
    if (!open_) return false;
    open_ = false;
    out_->steps_.push_back({Step::Kind::kClose, 0, 0, 0, {}});
    return !AtQuantifier();
  }

  bool AtQuantifier() const { return at_ < text_.size() && std::string_view("?*+{").find(text_[at_]) != std::string_view::npos; }

  bool ReadRepeat() {
    Step step;
    bool negated = false;
    if (Take('[')) {
      if (!ReadClass(&step.bytes, &negated)) return false;
    } else {
      const auto byte = ReadByte("\\^$.|?*+()[]{}");
      if (!byte) return false;
      step.bytes.set(*byte);
    }
    if (!ReadQuantifier(&step)) return false;
    // A negated class takes a code point at a time, which counts only where they are counted.
    if (negated && (step.min > 1 || (step.max != kNoEnd && !EndsHere()))) return false;
    out_->steps_.push_back(step);
    return true;
  }
  // Whether nothing follows that could see where this step ended.
  bool EndsHere() const { return at_ == text_.size() && !out_->has_group_; }

  // One literal byte; not one of `special`, unless escaped.
  std::optional<unsigned char> ReadByte(std::string_view special) {
    if (at_ >= text_.size()) return std::nullopt;
    char ch = text_[at_++];
    if (ch == '\\') {
      if (at_ >= text_.size()) return std::nullopt;
      ch = text_[at_++];
      const bool letter = (ch >= '0' && ch <= '9') || (ch >= 'A' && ch <= 'Z') || (ch >= 'a' && ch <= 'z');
      if (letter) return std::nullopt;  // \d, \s, \b …
    } else if (special.find(ch) != std::string_view::npos) {
      return std::nullopt;
    }
    const auto byte = static_cast<unsigned char>(ch);
    return byte < 0x80 ? std::optional(byte) : std::nullopt;
  }

  bool ReadClass(Bytes* bytes, bool* negated) {
    *negated = Take('^');
    bool any = false;
    while (!Take(']')) {
      const auto low = ReadByte("[");
      if (!low) return false;
      auto high = low;
      if (at_ + 1 < text_.size() && text_[at_] == '-' && text_[at_ + 1] != ']') {
        ++at_;
        high = ReadByte("[");
        if (!high || *high < *low) return false;
      }
      for (unsigned byte = *low; byte <= *high; ++byte) bytes->set(byte);
      any = true;
    }
    if (*negated) bytes->flip();
    return any;
  }

  bool ReadQuantifier(Step* step) {
    if (Take('+')) {
      step->max = kNoEnd;
    } else if (Take('*')) {
      step->min = 0;
      step->max = kNoEnd;
    } else if (Take('?')) {
      step->min = 0;
    } else if (Take('{')) {
      if (!ReadCount(&step->min)) return false;
      step->max = step->min;
      if (Take(',') && !ReadCount(&step->max)) return false;
      if (!Take('}') || step->max < step->min) return false;
    }
    return !AtQuantifier();  // `+?` and the like
  }
  bool ReadCount(uint32_t* count) {
    const size_t begin = at_;
    *count = 0;
    while (at_ < text_.size() && at_ < begin + 3 && text_[at_] >= '0' && text_[at_] <= '9') {
      *count = *count * 10 + static_cast<uint32_t>(text_[at_++] - '0');
    }
    return at_ > begin;
  }

  static constexpr uint32_t kNoEnd = UINT32_MAX;
  std::string_view text_;
  MatchPattern* out_;
  size_t at_ = 0;
  bool open_ = false;
  size_t optional_ = 0;  // one more than the step that opened it; 0: none is open
};

std::shared_ptr<const MatchPattern> MatchPattern::Compile(const std::string& expression, std::string* error) {
  auto pattern = std::make_shared<MatchPattern>();
  pattern->re2_ = std::make_unique<const re2::RE2>(expression, re2::RE2::Quiet);
  if (!pattern->re2_->ok()) {
    *error = pattern->re2_->error();
    return nullptr;
  }
  if (!Reader(expression, pattern.get()).Read() || !pattern->Deterministic()) pattern->steps_.clear();
  pattern->has_group_ = pattern->re2_->NumberOfCapturingGroups() > 0;
  return pattern;
}

MatchPattern::Bytes MatchPattern::FirstOf(size_t from, bool* nothing) const {
  Bytes first;
  for (size_t i = from; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (step.kind == Step::Kind::kOptional) {
      bool ignored = false;
      first |= FirstOf(i + 1, &ignored);
      i += step.skip;
    } else if (step.kind == Step::Kind::kRepeat) {
      first |= step.bytes;
      if (step.min > 0) return first;
    }
  }
  *nothing = true;
  return first;
}

// Whether the next byte always tells how to go on: a step that may end or not, and an optional part that may be there or
// not, are followed by something else than they begin with. And something must be matched.
bool MatchPattern::Deterministic() const {
  bool nothing = false;
  FirstOf(0, &nothing);
  if (nothing) return false;
  for (size_t i = 0; i < steps_.size(); ++i) {
    const Step& step = steps_[i];
    if (step.kind == Step::Kind::kRepeat && step.min != step.max) {
      if ((step.bytes & FirstOf(i + 1, &nothing)).any()) return false;
    } else if (step.kind == Step::Kind::kOptional) {
      bool empty = false;
      const Bytes inside = FirstOf(i + 1, &empty);
      if ((inside & FirstOf(i + 1 + step.skip, &nothing)).any()) return false;
      if (steps_[i + 1].kind != Step::Kind::kRepeat || steps_[i + 1].min == 0) return false;
    }
  }
  return true;
}

size_t MatchPattern::Run(size_t first, size_t last, std::string_view text, size_t at, Capture* capture) const {
  for (size_t i = first; i < last; ++i) {
    const Step& step = steps_[i];
    switch (step.kind) {
      case Step::Kind::kOpen: capture->open = at; break;
      case Step::Kind::kClose: capture->close = at; break;
      case Step::Kind::kOptional: {
        const size_t end = Run(i + 1, i + 1 + step.skip, text, at, capture);
        if (end != std::string_view::npos) at = end;
        i += step.skip;
        break;
      }
      case Step::Kind::kRepeat: {
        const size_t end = std::min(text.size(), at + std::min<size_t>(step.max, text.size()));
        const size_t begin = at;
        while (at < end && step.bytes[static_cast<unsigned char>(text[at])]) ++at;
        if (at - begin < step.min) return std::string_view::npos;
      }
    }
  }
  return at;
}

std::optional<MatchPattern::Found> MatchPattern::Find(std::string_view text) const {
  if (!simple() || (text.size() > kMostTried && !from_start_)) {
    re2::StringPiece groups[2];
    const int wanted = has_group_ ? 2 : 1;
    if (!re2_->Match({text.data(), text.size()}, 0, text.size(), re2::RE2::UNANCHORED, groups, wanted)) return std::nullopt;
    const re2::StringPiece& value = groups[wanted - 1];
    return Found{{value.data(), value.size()}, static_cast<size_t>(groups[0].data() + groups[0].size() - text.data())};
  }
  for (size_t start = 0; start < text.size(); ++start) {
    Capture capture;
    size_t past = Run(0, steps_.size(), text, start, &capture);
    if (past != std::string_view::npos && (!to_end_ || past == text.size())) {
      // A negated class at the end took the first byte of a code point.
      while (past < text.size() && (static_cast<unsigned char>(text[past]) & 0xc0) == 0x80) ++past;
      const size_t open = has_group_ ? capture.open : start;
      return Found{text.substr(open, (has_group_ ? capture.close : past) - open), past};
    }
    if (from_start_) break;
  }
  return std::nullopt;
}

}  // namespace triaged
