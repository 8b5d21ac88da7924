#pragma once

#include <cstddef>
#include <deque>
#include <mutex>
#include <optional>
#include <utility>
#include <vector>

#include "backend/block/block_backend.h"

namespace mynah::testing {

// A disk in memory that does what it is told: answers at once, fails, or holds requests back.
// Keeps a record of every request. Any thread.
class MemoryDisk final : public BlockBackend {
  public:
    explicit MemoryDisk(uint64_t size);
    explicit MemoryDisk(BlockGeometry geometry);
    ~MemoryDisk() override { release_all(); }

    const BlockGeometry& geometry() const override { return geometry_; }
    void submit(BlockRequest& request) override;

    std::vector<std::byte>& bytes() { return bytes_; }

    // What was asked; slices are not kept.
    struct Record {
        BlockOperation operation;
        uint64_t offset;
        uint64_t size;
        bool durable;
        bool may_unmap;
    };
    std::vector<Record> records() const;
    void fail_with(std::optional<BlockStatus> status) { failure_ = status; }
    void hold(bool on) { hold_ = on; }
    size_t held() const;
    // Completes the request held longest; false if there is none.
    bool release_one();
    void release_all();

  private:
    BlockStatus perform(BlockRequest& request);

    BlockGeometry geometry_;
    mutable std::mutex lock_;
    std::vector<std::byte> bytes_;
    std::vector<Record> records_;
    std::deque<BlockRequest*> held_;
    std::optional<BlockStatus> failure_;
    bool hold_ = false;
};

}  // namespace mynah::testing
