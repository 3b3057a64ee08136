// What the notifier's unit tests share: events, and a memory that lives as long as the test.
#pragma once

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "pipeline/notify/dispatcher.h"

namespace triaged {

class TestMemory : public NotifyMemory {
 public:
  bool Delivered(const std::string& to, const std::string& id) const override { return delivered.contains(to + " " + id); }
  std::string Told(const std::string& to, const std::string& key) const override {
    const auto it = told.find(to + " " + key);
    return it == told.end() ? "" : it->second;
  }
  std::string Answered(const std::string& key) const override {
    const auto it = answered.find(key);
    return it == answered.end() ? "" : it->second;
  }
  void SetAnswered(const std::string& key, const std::string& sequence, Timestamp) override { answered[key] = sequence; }
  void SetDelivered(const std::string& to, const std::vector<NotifyItem>& items, Timestamp) override {
    for (const NotifyItem& item : items) {
      delivered.insert(to + " " + item.event->id);
      const std::string key = to + " " + item.event->dedup_key;
      if (item.action == NotifyAction::kTrigger) told[key] = RememberAs(*item.event, told[key]);
      if (item.action == NotifyAction::kResolve) told.erase(key);
    }
  }

  std::set<std::string> delivered;
  std::map<std::string, std::string> told, answered;
};

inline std::shared_ptr<const NotifyEvent> MakeEvent(int case_number, int sequence, std::string name, Timestamp time) {
  NotifyEvent event;
  event.name = std::move(name);
  event.case_id = "0-" + std::to_string(case_number);
  event.dedup_key = "triaged:" + event.case_id + ":1";
  event.sequence = std::to_string(sequence);
  event.sequence.insert(0, 20 - event.sequence.size(), '0');
  event.id = event.case_id + "/" + event.sequence;
  event.time = time;
  event.action = event.name == "acknowledged" ? NotifyAction::kAcknowledge
                 : event.name == "resolved"   ? NotifyAction::kResolve
                                              : NotifyAction::kTrigger;
  event.severity = "high";
  event.level = "L2";
  event.team = "l2";
  event.raw = "{\"id\":\"" + event.id + "\"}";
  return std::make_shared<const NotifyEvent>(std::move(event));
}

}  // namespace triaged
