#include "storage/seen_table.h"

#include <algorithm>

#include "pipeline/base/check.h"
#include "storage/codec.h"

namespace triaged {
namespace {

constexpr size_t kMinSlots = 1024;

}  // namespace

SeenTable::SeenTable(size_t max_entries) : max_entries_(std::max<size_t>(max_entries, 1)), slots_(kMinSlots) {}

SeenEntry SeenTable::Unpack(uint64_t position) const {
  const Packed& packed = At(position);
  return {packed.id_hash, FromUnixMillis(TimeAt(position)), packed.case_sequence, packed.score, packed.state_hash};
}

uint64_t SeenTable::Skip(uint64_t position) const {
  while (position < tail_ && position % kChunkEntries >= ChunkAt(position).used) {
    position = (position / kChunkEntries + 1) * kChunkEntries;
  }
  return std::min(position, tail_);
}

uint64_t SeenTable::Append(const SeenEntry& entry) {
  const int64_t at = ToUnixMillis(entry.at);
  if (tail_ % kChunkEntries != 0) {
    const int64_t delta = at - ChunkAt(tail_).base_ms;
    if (delta < INT32_MIN || delta > INT32_MAX) tail_ = (tail_ / kChunkEntries + 1) * kChunkEntries;
  }
  if (tail_ % kChunkEntries == 0) {
    chunks_.push_back(std::make_unique<Chunk>());
    chunks_.back()->base_ms = at;
    if (chunks_.size() == 1) first_chunk_ = tail_ / kChunkEntries;
  }
  Chunk& chunk = ChunkAt(tail_);
  chunk.entries[tail_ % kChunkEntries] = {entry.id_hash, entry.case_sequence, static_cast<int32_t>(at - chunk.base_ms),
                                          entry.score, entry.state_hash};
  ++chunk.used;
  ++count_;
  return tail_++;
}

void SeenTable::PopFront(bool limit) {
  head_ = Skip(head_);
  TRIAGED_CHECK(head_ < tail_);
  const uint64_t hash = At(head_).id_hash;
  if (Lookup(hash) == head_) {  // else it was replaced by a later entry
    if (limit && TimeAt(head_) >= ToUnixMillis(horizon_)) ++shrunk_;
    undo_.push_back({hash, head_});
    Unset(hash);
  }
  --count_;
  ++head_;
}

const SeenEntry* SeenTable::Find(uint64_t id_hash) {
  const uint64_t position = Lookup(id_hash);
  if (position == kNowhere) return nullptr;
  found_ = Unpack(position);
  return found_.at < horizon_ ? nullptr : &found_;
}

void SeenTable::Remember(const SeenEntry& entry) {
  const uint64_t old = Lookup(entry.id_hash);
  undo_.push_back({entry.id_hash, old});
  Set(entry.id_hash, Append(entry));
  while (count_ > max_entries_) PopFront(true);
}

void SeenTable::ForgetBefore(Timestamp horizon) {
  if (horizon <= horizon_) return;
  horizon_ = horizon;
  while (count_ > 0) {
    head_ = Skip(head_);
    if (TimeAt(head_) >= ToUnixMillis(horizon)) break;
    PopFront(false);
  }
}

std::vector<std::vector<SeenEntry>> SeenTable::StagedBlocks() const {
  std::vector<std::vector<SeenEntry>> blocks;
  for (uint64_t at = Skip(committed_.tail); at < tail_; at = Skip(at + 1)) {
    if (blocks.empty() || blocks.back().size() == kMaxSeenBlockEntries) blocks.emplace_back();
    blocks.back().push_back(Unpack(at));
  }
  return blocks;
}

std::vector<uint64_t> SeenTable::ExpiredBlocks() const {
  std::vector<uint64_t> expired;
  for (const Block& block : blocks_) {
    if (block.end > head_) break;
    expired.push_back(block.number);
  }
  return expired;
}

void SeenTable::Commit(bool keep_horizon) {
  while (!blocks_.empty() && blocks_.front().end <= head_) blocks_.pop_front();
  // Number the step's entries into blocks just as StagedBlocks() cut them.
  size_t in_block = 0;
  for (uint64_t at = Skip(committed_.tail); at < tail_; at = Skip(at + 1)) {
    if (in_block == 0 || in_block == kMaxSeenBlockEntries) {
      blocks_.push_back({next_block_++, 0});
      in_block = 0;
    }
    blocks_.back().end = at + 1;
    ++in_block;
  }
  if (!keep_horizon) horizon_ = committed_.horizon;
  while (!chunks_.empty() && (first_chunk_ + 1) * kChunkEntries <= head_) {
    chunks_.pop_front();
    ++first_chunk_;
  }
  undo_.clear();
  committed_ = {head_, tail_, count_, horizon_, shrunk_};
}

void SeenTable::Discard() {
  head_ = committed_.head;  // positions are resolved from the head: first it moves back, then the index
  for (auto undo = undo_.rbegin(); undo != undo_.rend(); ++undo) {
    if (undo->position == kNowhere) {
      Unset(undo->id_hash);
    } else {
      Set(undo->id_hash, undo->position);
    }
  }
  undo_.clear();
  tail_ = committed_.tail;
  const uint64_t chunks = (tail_ + kChunkEntries - 1) / kChunkEntries;
  while (!chunks_.empty() && first_chunk_ + chunks_.size() > chunks) chunks_.pop_back();
  if (!chunks_.empty() && tail_ % kChunkEntries != 0) {
    chunks_.back()->used = static_cast<uint32_t>(tail_ % kChunkEntries);
  }
  count_ = committed_.count;
  horizon_ = committed_.horizon;
  shrunk_ = committed_.shrunk;
}

void SeenTable::Clear() {
  chunks_.clear();
  blocks_.clear();
  undo_.clear();
  slots_.assign(kMinSlots, 0);
  first_chunk_ = head_ = tail_ = 0;
  count_ = indexed_ = 0;
  horizon_ = {};
  next_block_ = 1;
  committed_ = {0, 0, 0, {}, shrunk_};
}

void SeenTable::RestoreBlock(uint64_t number, const std::vector<SeenEntry>& entries) {
  if (entries.empty()) return;
  for (const SeenEntry& entry : entries) Set(entry.id_hash, Append(entry));
  blocks_.push_back({number, tail_});
}

void SeenTable::FinishRestore(Timestamp horizon, uint64_t next_block) {
  const uint64_t shrunk = shrunk_;
  ForgetBefore(horizon);
  while (count_ > max_entries_) PopFront(true);
  shrunk_ = shrunk;  // those were counted when they were forgotten
  next_block_ = std::max(next_block, blocks_.empty() ? 1 : blocks_.back().number + 1);
  undo_.clear();
  // Blocks that expired in steps whose deletion got lost stay in blocks_: the next step's deletions take them.
  committed_ = {head_, tail_, count_, horizon_, shrunk_};
}

size_t SeenTable::bytes() const {
  return chunks_.size() * sizeof(Chunk) + slots_.capacity() * sizeof(slots_[0]) + undo_.capacity() * sizeof(Undo) +
         blocks_.size() * sizeof(Block);
}

uint64_t SeenTable::Tag(uint64_t id_hash) const {
  const uint64_t tag = id_hash & 0xffffffff;
  return tag == 0 ? 1 : tag;
}

// Positions in the ring span less than 2^32, so the low half and the head tell the whole.
uint64_t SeenTable::Position(uint64_t slot) const {
  return head_ + static_cast<uint32_t>(static_cast<uint32_t>(slot) - static_cast<uint32_t>(head_));
}

size_t SeenTable::Slot(uint64_t id_hash) const {
  const uint64_t tag = Tag(id_hash);
  const size_t mask = slots_.size() - 1;
  size_t at = tag & mask;
  while (slots_[at] != 0 && (slots_[at] >> 32 != tag || At(Position(slots_[at])).id_hash != id_hash)) {
    at = (at + 1) & mask;
  }
  return at;
}

uint64_t SeenTable::Lookup(uint64_t id_hash) const {
  const uint64_t slot = slots_[Slot(id_hash)];
  return slot == 0 ? kNowhere : Position(slot);
}

void SeenTable::Set(uint64_t id_hash, uint64_t position) {
  if (4 * (indexed_ + 1) > 3 * slots_.size()) Grow();
  uint64_t& slot = slots_[Slot(id_hash)];
  if (slot == 0) ++indexed_;
  slot = Tag(id_hash) << 32 | static_cast<uint32_t>(position);
}

// Linear probing without tombstones: entries behind the hole move into it where their home allows.
void SeenTable::Unset(uint64_t id_hash) {
  const size_t mask = slots_.size() - 1;
  size_t hole = Slot(id_hash);
  if (slots_[hole] == 0) return;
  --indexed_;
  for (size_t at = (hole + 1) & mask; slots_[at] != 0; at = (at + 1) & mask) {
    const size_t home = (slots_[at] >> 32) & mask;
    if (((at - home) & mask) < ((at - hole) & mask)) continue;
    slots_[hole] = slots_[at];
    hole = at;
  }
  slots_[hole] = 0;
}

void SeenTable::Grow() {
  std::vector<uint64_t> old(slots_.size() * 2);
  old.swap(slots_);
  const size_t mask = slots_.size() - 1;
  for (uint64_t slot : old) {
    if (slot == 0) continue;
    size_t at = (slot >> 32) & mask;
    while (slots_[at] != 0) at = (at + 1) & mask;
    slots_[at] = slot;
  }
}

}  // namespace triaged
