#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "backend/block/image/image_file.h"

namespace mynah::testing {

// A medium with a volatile cache in front of it, which loses power at a chosen moment: of what was
// not flushed by then, sectors of 512 bytes survive at random, in no order. One thread.
class CrashStore {
  public:
    explicit CrashStore(std::vector<std::byte> content = {}) : durable_(content), now_(content) {}

    // A view that an image can own; the store must outlive it.
    std::unique_ptr<ImageFile> file(bool read_only = false);
    // Power goes at the n-th change from here (0: the next one). From then on every change fails.
    void crash_after(uint64_t changes) { left_ = changes; }
    bool crashed() const { return crashed_; }
    // The n-th change from here fails, and as many as `count` in a row; later ones succeed again.
    void fail_after(uint64_t changes, uint64_t count) {
        until_failing_ = changes;
        failing_ = count;
    }
    uint64_t changes() const { return changes_; }
    // What is on the medium when the power is back.
    std::vector<std::byte> survivors(std::mt19937_64& random) const;
    const std::vector<std::byte>& bytes() const { return now_; }

  private:
    class View;
    struct Change {
        uint64_t offset;
        std::vector<std::byte> bytes;  // empty: the size became `offset`
    };
    bool change();
    void apply(std::vector<std::byte>& to, const Change& change) const;

    std::vector<std::byte> durable_, now_;
    std::vector<Change> pending_;
    uint64_t left_ = std::numeric_limits<uint64_t>::max();
    uint64_t until_failing_ = std::numeric_limits<uint64_t>::max(), failing_ = 0;
    uint64_t changes_ = 0;
    bool crashed_ = false;
};

}  // namespace mynah::testing
