// A wall clock that jumps, for one process: preloaded, it adds the seconds that stand in the file TRIAGED_WALL_CLOCK
// (eight bytes, mapped, so a test changes them while the process runs) to every answer about real time, and takes them
// off the deadlines of waits that are given in real time, C11's included, which librdkafka uses. Monotonic time stays.
#include <dlfcn.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <threads.h>
#include <time.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>

namespace {

const volatile int64_t* Map() {
  static const int64_t kNone = 0;
  const char* path = std::getenv("TRIAGED_WALL_CLOCK");
  const int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
  void* mapped = file < 0 ? MAP_FAILED : mmap(nullptr, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (file >= 0) close(file);
  return mapped == MAP_FAILED ? &kNone : static_cast<const volatile int64_t*>(mapped);
}

int64_t Jump() {
  static const volatile int64_t* const jump = Map();
  return *jump;
}

template <typename Function>
Function* Next(Function*, const char* name) {
  return reinterpret_cast<Function*>(dlsym(RTLD_NEXT, name));
}

timespec Real(const timespec* at) { return {at->tv_sec - static_cast<time_t>(Jump()), at->tv_nsec}; }

}  // namespace

extern "C" {

int clock_gettime(clockid_t clock, timespec* at) noexcept {
  static auto* const next = Next(&clock_gettime, "clock_gettime");
  const int result = next(clock, at);
  if (result == 0 && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) at->tv_sec += Jump();
  return result;
}

int gettimeofday(timeval* at, void* zone) noexcept {
  static auto* const next = Next(&gettimeofday, "gettimeofday");
  const int result = next(at, zone);
  if (result == 0) at->tv_sec += Jump();
  return result;
}

time_t time(time_t* at) noexcept {
  static auto* const next = Next(&time, "time");
  const time_t now = next(nullptr) + static_cast<time_t>(Jump());
  if (at) *at = now;
  return now;
}

int timespec_get(timespec* at, int base) noexcept {
  static auto* const next = Next(&timespec_get, "timespec_get");
  const int result = next(at, base);
  if (result == TIME_UTC) at->tv_sec += Jump();
  return result;
}

int cnd_timedwait(cnd_t* condition, mtx_t* mutex, const timespec* until) {
  static auto* const next = Next(&cnd_timedwait, "cnd_timedwait");
  const timespec real = Real(until);
  return next(condition, mutex, &real);
}

}  // extern "C"
