#include "pipeline/notify/event.h"

#include <doctest/doctest.h>

#include <string>

#include "tests/unit/notify_test_util.h"

namespace triaged {
namespace {

const Timestamp kNow = FromUnixMillis(1'772'438'400'000);

// The record that triaged writes about a case, as far as the notifier reads it.
std::string Record(int case_number, int sequence, const std::string& name, const std::string& status) {
  const NotifyEvent event = *MakeEvent(case_number, sequence, name, kNow);
  return R"({"specversion":"1.0","id":")" + event.id + R"(","type":"io.triaged.case.)" + name + R"(.v1","time":")" +
         FormatTimestamp(kNow) + R"(","sequence":")" + event.sequence + R"(","data":{"case_id":")" + event.case_id +
         R"(","dedup_key":")" + event.dedup_key + R"(","status":")" + status + R"("}})";
}

NotifyEvent Parsed(const std::string& record) {
  auto event = ParseNotifyEvent(record);
  REQUIRE(event);
  REQUIRE(*event);
  return **event;
}

TEST_CASE("notify event: what an event means to a person who is paged") {
  const auto action = [](const std::string& name, const std::string& status) {
    return Parsed(Record(1, 1, name, status)).action;
  };
  CHECK(action("escalated", "escalated") == NotifyAction::kTrigger);
  CHECK(action("acknowledged", "escalated") == NotifyAction::kAcknowledge);
  CHECK(action("resolved", "resolved") == NotifyAction::kResolve);
  CHECK(action("closed", "closed") == NotifyAction::kResolve);
  // A merge ends the pages of the case that went away, and of no other.
  CHECK(action("merged", "closed") == NotifyAction::kResolve);
  CHECK(action("merged", "resolved") == NotifyAction::kResolve);
  for (const std::string status : {"open", "in_progress", "escalated", "waiting_for_info", "on_hold"}) {
    CHECK_MESSAGE(action("merged", status) == NotifyAction::kTrigger, status);
  }
}

TEST_CASE("notify event: the policy's first level is known by its place") {
  const auto first = [](const std::string& level) {
    std::string record = Record(1, 1, "reopened", "open");
    record.insert(record.find("\"status\""), "\"level\":{\"to\":" + level + "},");
    return Parsed(record).first_level;
  };
  CHECK(first(R"({"index":0,"name":"L1"})"));
  CHECK_FALSE(first(R"({"index":1,"name":"L2"})"));
  CHECK_FALSE(first(R"({"name":"L1"})"));  // not said: rather a page too many
}

TEST_CASE("notify event: a duplicate that is merged into a paged case leaves its page") {
  NotifyConfig config;
  config.destinations["a"].name = "a";
  Route route;
  route.events = {"escalated"};
  route.to = {"a"};
  config.routes.push_back(route);
  TestMemory memory;
  Dispatcher dispatcher(config, &memory, 1);
  int64_t offset = 0;
  const auto offer = [&](const std::string& record) {
    dispatcher.Offer(std::make_shared<const NotifyEvent>(Parsed(record)), 0, offset++, {kNow, Duration{0}});
  };
  offer(Record(2, 1, "escalated", "escalated"));
  offer(Record(2, 2, "merged", "escalated"));  // "from 0-1"
  offer(Record(1, 1, "merged", "closed"));     // "into 0-2"
  const auto job = dispatcher.Next("a", Duration{0});
  REQUIRE(job);
  CHECK(job->items.front().event->case_id == "0-2");
  CHECK(memory.Answered("triaged:0-2:1").empty());
  CHECK_FALSE(memory.Answered("triaged:0-1:1").empty());
}

}  // namespace
}  // namespace triaged
