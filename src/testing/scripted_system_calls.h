#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "host/system_calls.h"

namespace mynah::testing {

// Device nodes of a host kernel that is not there. A test says what each node is (`nodes`) and
// what each request answers (`on`); the rest fails as the kernel would (ENOENT, ENOTTY, EBADF).
// mmap gives zeroed memory that the test can write to (`mapping`). Single-threaded unless the
// handlers lock.
class ScriptedSystemCalls : public SystemCalls {
  public:
    using Handler = std::function<int(int fd, uintptr_t argument)>;

    // The path can be opened (result 0), or opening it fails (-errno).
    void node(const std::string& path, int result = 0) { nodes_[path] = result; }
    // What a request answers, on any fd. A handler may make further fds by new_fd().
    void on(unsigned long request, Handler handler) { handlers_[request] = std::move(handler); }
    void on(unsigned long request, int result) {
        handlers_[request] = [result](int, uintptr_t) { return result; };
    }
    int new_fd(const std::string& what);
    // How often a request was made.
    unsigned count(unsigned long request) const;
    // Still open, by what they were made for.
    std::vector<std::string> open_fds() const;
    void* mapping(int fd) { return mappings_.at(fd).data(); }

    int open(const char* path, int flags) override;
    int close(int fd) override;
    int ioctl(int fd, unsigned long request, uintptr_t argument) override;
    using SystemCalls::ioctl;
    void* mmap(size_t bytes, int protection, int flags, int fd, int64_t offset,
               int& error) override;
    int munmap(void* address, size_t bytes) override;
    int64_t read(int fd, void* to, size_t bytes) override;
    int64_t write(int fd, const void* from, size_t bytes) override;

  private:
    static constexpr int kFirstFd = 100'000;  // so that a real call with one fails
    std::map<std::string, int> nodes_;
    std::map<unsigned long, Handler> handlers_;
    std::map<unsigned long, unsigned> counts_;
    std::map<int, std::string> fds_;
    std::map<int, std::vector<std::byte>> mappings_;
    int next_fd_ = kFirstFd;
};

}  // namespace mynah::testing
