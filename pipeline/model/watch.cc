#include "pipeline/model/watch.h"

namespace triaged {

const Watch* WatchTable::Find(std::string_view id) const {
  const auto at = watches_.find(id);
  return at == watches_.end() ? nullptr : &at->second;
}

void WatchTable::Put(Watch watch) {
  Erase(watch.id);
  if (watch.due != Timestamp{}) due_.emplace(watch.due, watch.id);
  std::string id = watch.id;
  watches_.emplace(std::move(id), std::move(watch));
}

void WatchTable::Erase(std::string_view id) {
  const auto at = watches_.find(id);
  if (at == watches_.end()) return;
  due_.erase({at->second.due, at->first});
  watches_.erase(at);
}

const Watch* WatchTable::Next() const { return due_.empty() ? nullptr : Find(due_.begin()->second); }

}  // namespace triaged
