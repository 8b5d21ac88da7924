#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/vhost/foreign_mapping.h"
#include "backend/vhost/vhost_user_messages.h"
#include "base/result.h"
#include "host/fd.h"

namespace mynah {

// Which chains of split rings are out, in memory that the front end keeps for the back end's
// successor [vhost-user, "Inflight I/O tracking"]. A queue's part is only touched by who has that
// queue's lock. What the memory says when it is given to us is the front end's word: it is
// bounds-checked, and nothing else of it is believed.
class InflightRegion {
  public:
    // New, for so many queues. Error: the host refuses, a clause.
    static Result<std::unique_ptr<InflightRegion>> create(uint16_t queues, uint16_t queue_size);
    // One that a front end kept. Error: it is not what it should be, a clause.
    static Result<std::unique_ptr<InflightRegion>> adopt(Fd fd, const vhost_user::Inflight& what);
    InflightRegion(const InflightRegion&) = delete;
    InflightRegion& operator=(const InflightRegion&) = delete;

    int fd() const { return mapping_->fd(); }
    vhost_user::Inflight description() const;

    struct Left {
        std::vector<uint16_t> heads;  // that were out, in the order in which they were taken
    };
    // What a back end before us left of a ring of `size` entries whose used index is `used`; the
    // book is in order afterwards.
    Left recover(uint16_t queue, uint16_t size, uint16_t used);

    // --- while a ring runs; heads below the ring's size ---
    void taken(uint16_t queue, uint16_t head);
    void returning(uint16_t queue, std::span<const uint16_t> heads);
    // `used`: the ring's used index that the driver sees now.
    void returned(uint16_t queue, std::span<const uint16_t> heads, uint16_t used);

  private:
    struct Queue;
    struct Entry;
    InflightRegion(std::unique_ptr<ForeignMapping> mapping, uint16_t queues, uint16_t queue_size);
    static uint64_t bytes_of_queue(uint16_t queue_size);
    static Result<std::unique_ptr<InflightRegion>> map(Fd fd, const vhost_user::Inflight& what);
    Queue* queue_at(uint16_t queue) const;
    Entry* entry_at(uint16_t queue, uint16_t head) const;

    const std::unique_ptr<ForeignMapping> mapping_;
    const uint16_t queues_, queue_size_;
    std::vector<uint64_t> next_count_;  // by queue
};

}  // namespace mynah
