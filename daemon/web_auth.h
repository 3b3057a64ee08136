// BasicAuth: who may use the HTTP server (RFC 7617), against bcrypt hashes.
//
// bcrypt is slow on purpose, so what was right once is remembered by its SHA-256 for the life of the process, and a
// scraper costs one hash, not one a scrape. A name nobody has takes as long as a wrong password. Thread-safe.
#pragma once

#include <map>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

namespace triaged {

class BasicAuth {
 public:
  explicit BasicAuth(std::map<std::string, std::string, std::less<>> users) : users_(std::move(users)) {}

  bool required() const { return !users_.empty(); }
  // `header`: the value of Authorization, empty when it was not sent.
  bool Allows(std::string_view header) const;

 private:
  bool Matches(std::string_view user, const std::string& password) const;

  std::map<std::string, std::string, std::less<>> users_;
  mutable std::mutex mutex_;
  mutable std::set<std::string> known_;  // digests of user, hash and password; one per user at most
};

}  // namespace triaged
