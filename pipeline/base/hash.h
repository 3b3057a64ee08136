// Hashes with fixed results on every machine and in every release: they name partitions and dedup entries that outlive
// the process.
#pragma once

#include <cstdint>
#include <string_view>

namespace triaged {

// 64-bit hash of bytes: fast, well mixed, not secret. Part of the stored format: never change it.
uint64_t StableHash64(std::string_view bytes, uint64_t seed = 0);

// Kafka's Java default partitioner for a keyed record: murmur2 with seed 0x9747b28c, sign bit cleared, modulo
// partitions (org.apache.kafka.common.utils.Utils.murmur2). librdkafka's default differs, so we always do our own.
uint32_t Murmur2(std::string_view key);
int32_t PartitionForKey(std::string_view key, int32_t partitions);

}  // namespace triaged
