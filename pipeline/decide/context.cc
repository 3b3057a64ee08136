#include "pipeline/decide/context.h"

#include "pipeline/base/utf8.h"

namespace triaged {

CaseEvent& Emit(CaseContext& ctx, CaseEventType type, std::string reason) {
  CaseEvent event;
  event.type = type;
  event.sequence = ctx.c.next_event++;
  event.at = ctx.now;
  event.reason = std::move(reason);
  event.level_from = event.level_to = ctx.c.level;
  event.severity_from = ctx.c.severity;
  event.verdict_from = ctx.c.verdict;
  ctx.events.push_back(std::move(event));
  return ctx.events.back();
}

void AddToTimeline(CaseContext& ctx, std::string_view what, std::string_view actor, std::string_view text) {
  auto& timeline = ctx.c.timeline;
  if (timeline.size() >= kMaxTimeline) {
    timeline.erase(timeline.begin());
    ++ctx.c.timeline_dropped;
  }
  timeline.push_back({ctx.now, std::string(what), Bounded(actor), Bounded(text)});
}

void StandingChanged(CaseContext& ctx) {
  ++ctx.c.version;
  ctx.standing_changed = true;
  ctx.facts_changed = true;
}

std::string Bounded(std::string_view text) { return std::string(CutAtCodePoint(text, kMaxTextBytes)); }

}  // namespace triaged
