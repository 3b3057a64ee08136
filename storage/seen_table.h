// SeenTable: the dedup memory of one partition. A ring of packed entries in the order they were remembered (24 bytes
// each) and an open-addressing index of ring positions (8 bytes a slot, at most 3/4 full).
//
// What a step remembers is persisted as numbered blocks; a block may be deleted when the ring's head has passed it.
// Changes are staged: Commit() makes them final, Discard() undoes them exactly. What the table answers depends only on
// the sequence of committed steps, never on whether it was restored in between: the horizon is part of the stored
// progress record, and the limit counts ring entries, which a restore reproduces.
//
// Times must not lie before the Unix epoch. Not thread-safe.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <vector>

#include "pipeline/base/time.h"
#include "pipeline/processor/case_store.h"

namespace triaged {

class SeenTable {
 public:
  explicit SeenTable(size_t max_entries);

  // Valid until the next call.
  const SeenEntry* Find(uint64_t id_hash);
  // Replaces an entry of the same hash. Beyond the limit the oldest are forgotten, and counted in shrunk().
  void Remember(const SeenEntry& entry);
  // Forgets entries first seen before `horizon`; an earlier horizon than the present one does nothing.
  void ForgetBefore(Timestamp horizon);

  // The staged step: blocks to write, numbered from next_block(), and blocks to delete.
  std::vector<std::vector<SeenEntry>> StagedBlocks() const;
  std::vector<uint64_t> ExpiredBlocks() const;
  bool forgot() const { return head_ != committed_.head; }
  bool changed() const { return forgot() || tail_ != committed_.tail; }
  Timestamp horizon() const { return horizon_; }
  uint64_t next_block() const { return next_block_; }

  // `keep_horizon` false: the step's progress record was not written, so the horizon must not outlive it either.
  void Commit(bool keep_horizon);
  void Discard();

  // Restore: Clear, then RestoreBlock in ascending order of block numbers, then FinishRestore.
  void Clear();
  void RestoreBlock(uint64_t number, const std::vector<SeenEntry>& entries);
  void FinishRestore(Timestamp horizon, uint64_t next_block);

  size_t size() const { return indexed_; }
  uint64_t shrunk() const { return shrunk_; }
  size_t bytes() const;

 private:
  static constexpr size_t kChunkEntries = 4096;
  static constexpr uint64_t kNowhere = ~uint64_t{0};

  struct Packed {
    uint64_t id_hash;
    uint64_t case_sequence;
    int32_t at_delta_ms;  // from the chunk's base
    int16_t score;
    uint16_t state_hash;
  };
  static_assert(sizeof(Packed) == 24);

  // A stretch of the ring. `used` may stay below kChunkEntries when the next entry's time did not fit the base.
  struct Chunk {
    int64_t base_ms = 0;
    uint32_t used = 0;
    Packed entries[kChunkEntries];
  };
  struct Block {
    uint64_t number;
    uint64_t end;  // ring position after its last entry
  };
  struct Undo {
    uint64_t id_hash;
    uint64_t position;  // what the index said before: a ring position or kNowhere
  };
  struct Marks {
    uint64_t head = 0, tail = 0;
    size_t count = 0;
    Timestamp horizon{};
    uint64_t shrunk = 0;
  };

  Chunk& ChunkAt(uint64_t position) const { return *chunks_[position / kChunkEntries - first_chunk_]; }
  Packed& At(uint64_t position) const { return ChunkAt(position).entries[position % kChunkEntries]; }
  int64_t TimeAt(uint64_t position) const { return ChunkAt(position).base_ms + At(position).at_delta_ms; }
  SeenEntry Unpack(uint64_t position) const;
  // The first position from `position` on that holds an entry (or the tail).
  uint64_t Skip(uint64_t position) const;
  uint64_t Append(const SeenEntry& entry);
  void PopFront(bool limit);

  // The index.
  uint64_t Tag(uint64_t id_hash) const;
  uint64_t Position(uint64_t slot) const;
  size_t Slot(uint64_t id_hash) const;  // of the hash, or the empty slot where it would go
  uint64_t Lookup(uint64_t id_hash) const;
  void Set(uint64_t id_hash, uint64_t position);
  void Unset(uint64_t id_hash);
  void Grow();

  const size_t max_entries_;
  std::deque<std::unique_ptr<Chunk>> chunks_;
  uint64_t first_chunk_ = 0;
  uint64_t head_ = 0, tail_ = 0;  // ring positions: [head_, tail_)
  size_t count_ = 0;              // entries in the ring, replaced ones included
  Timestamp horizon_{};
  uint64_t shrunk_ = 0;
  std::deque<Block> blocks_;
  uint64_t next_block_ = 1;

  std::vector<uint64_t> slots_;  // tag (hash bits, never 0) << 32 | low 32 bits of the position; 0: empty
  size_t indexed_ = 0;

  Marks committed_;
  std::vector<Undo> undo_;
  SeenEntry found_;
};

}  // namespace triaged
