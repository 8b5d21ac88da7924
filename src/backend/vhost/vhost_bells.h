#pragma once

#include <cstdint>
#include <functional>
#include <span>

#include "base/result.h"
#include "host/event_fd.h"

namespace mynah {

// Who is told, by the device, that it used buffers. Any thread.
class VhostCallSink {
  public:
    virtual ~VhostCallSink() = default;
    virtual void call(uint16_t index) = 0;
};

// What a back end's thread woke for.
enum class VhostWake : uint8_t {
    kBells,  // those that rang were answered
    kMessage,
    kStop,
};

// Waits, once, for what wakes a back end: `stop`, something to read from its front end, the bells
// of the rings that run (null: it does not). Calls `ring` for each that rang; a message comes after
// those. Error: a bell is broken.
Result<VhostWake> wait_for_bells(const EventFd& stop, int front_end,
                                 std::span<const EventFd* const> bells,
                                 const std::function<void(uint16_t index)>& ring);

// Whether the other side of a socket that can be read is gone, instead of having said something.
bool at_end_of_stream(int socket);

}  // namespace mynah
