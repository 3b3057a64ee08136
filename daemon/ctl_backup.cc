// triagectl backup and restore: partition stores as files.
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <system_error>

#include "daemon/config.h"
#include "daemon/ctl.h"
#include "storage/backup.h"

namespace triaged {
namespace {

namespace fs = std::filesystem;
constexpr const char* kExtension = ".backup";

int Failed(const std::string& message) {
  std::fprintf(stderr, "triagectl: %s\n", message.c_str());
  return kExitFailed;
}

bool IsNumber(const std::string& text) {
  return !text.empty() && text.size() < 6 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

// The numbers of the entries "N" + extension of a directory, ascending, cut to those that are wanted.
Result<std::vector<int>> Numbers(const std::string& directory, const std::string& extension,
                                 const std::vector<int>& wanted) {
  std::vector<int> numbers;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory, error)) {
    const fs::path name = entry.path().filename();
    if (name.extension() == extension && IsNumber(name.stem())) numbers.push_back(std::stoi(name.stem()));
  }
  if (error) return EnvironmentError("list " + directory + ": " + error.message());
  std::sort(numbers.begin(), numbers.end());
  for (int number : wanted) {
    if (!std::binary_search(numbers.begin(), numbers.end(), number)) {
      return BadInput("there is no " + std::to_string(number) + extension + " in " + directory);
    }
  }
  if (numbers.empty()) return BadInput("there is no N" + extension + " in " + directory);
  return wanted.empty() ? numbers : wanted;
}

std::shared_ptr<SharedStoreResources> Resources(const Config& config) {
  StoreOptions options;
  options.memory_budget_bytes = static_cast<size_t>(config.storage.memory_bytes);
  return SharedStoreResources::Make(options);
}

void Print(const char* done, const BackupFigures& figures, const std::string& where) {
  std::printf("%s partition=%d position=%lld records=%llu bytes=%llu %s\n", done, figures.partition,
              static_cast<long long>(figures.position), static_cast<unsigned long long>(figures.records),
              static_cast<unsigned long long>(figures.bytes), where.c_str());
}

std::optional<Config> Load(const std::string& path) {
  Diagnostics diagnostics;
  auto config = LoadConfig(path, &diagnostics);
  std::fputs(diagnostics.Render().c_str(), stderr);
  return config;
}

}  // namespace

int Backup(const std::string& config_path, const BackupOptions& options) {
  const auto config = Load(config_path);
  if (!config) return kExitFailed;
  const auto numbers = Numbers(config->storage.path, "", options.partitions);
  if (!numbers) return Failed(numbers.error().message);
  std::error_code error;
  fs::create_directories(options.directory, error);
  if (error) return Failed("create " + options.directory + ": " + error.message());
  const auto resources = Resources(*config);
  for (int number : *numbers) {
    const std::string file = options.directory + "/" + std::to_string(number) + kExtension;
    const auto written = BackUpStore(resources, config->storage.path + "/" + std::to_string(number), file);
    if (!written) return Failed(written.error().message);
    // What was written is read again: a backup that nobody has read is none.
    const auto verified = VerifyBackup(file);
    if (!verified) return Failed(verified.error().message);
    Print("backed up", *verified, file);
  }
  return kExitOk;
}

int Restore(const std::string& config_path, const BackupOptions& options) {
  const auto config = Load(config_path);
  if (!config) return kExitFailed;
  const auto numbers = Numbers(options.directory, kExtension, options.partitions);
  if (!numbers) return Failed(numbers.error().message);
  // All are checked before the first is written.
  for (int number : *numbers) {
    const std::string file = options.directory + "/" + std::to_string(number) + kExtension;
    const auto verified = VerifyBackup(file);
    if (!verified) return Failed(verified.error().message);
    if (verified->partition != number) return Failed(file + " is of partition " + std::to_string(verified->partition));
    if (options.check_only) Print("sound", *verified, file);
  }
  if (options.check_only) return kExitOk;
  const auto resources = Resources(*config);
  for (int number : *numbers) {
    const std::string file = options.directory + "/" + std::to_string(number) + kExtension;
    const std::string store = config->storage.path + "/" + std::to_string(number);
    const auto restored = RestoreStore(resources, file, store);
    if (!restored) return Failed(restored.error().message);
    Print("restored", *restored, store);
  }
  return kExitOk;
}

}  // namespace triaged
