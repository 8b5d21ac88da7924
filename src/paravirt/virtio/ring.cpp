#include "paravirt/virtio/ring.h"

namespace mynah {

bool Ring::append_buffer(GuestPhys address, uint32_t length, bool writable, uint64_t& bytes,
                         DescriptorChain& chain) {
    if (!writable && !chain.writable.empty()) return fail(RingError::kBadOrder);
    bytes += length;
    if (bytes > kMaxChainBytes) return fail(RingError::kTooLong);
    SliceList& list = writable ? chain.writable : chain.readable;
    const DmaUse use = writable ? DmaUse::kWrite : DmaUse::kRead;
    if (!memory_.slices(address, length, list, use)) return fail(RingError::kNotMemory);
    return true;
}

const char* ring_error_name(Ring::RingError error) {
    using Broken = Ring::RingError;
    switch (error) {
        case Broken::kNone:
            return "no error";
        case Broken::kNotMemory:
            return "a ring or buffer is misaligned or not wholly in RAM";
        case Broken::kIndexJump:
            return "more was made available than the queue has entries";
        case Broken::kBadHead:
            return "an available entry names no descriptor";
        case Broken::kBadNext:
            return "a chain goes on beyond its table";
        case Broken::kLoop:
            return "a chain is longer than the queue";
        case Broken::kBadIndirect:
            return "a misused indirect descriptor";
        case Broken::kBadOrder:
            return "a readable buffer after a writable one";
        case Broken::kTooLong:
            return "a chain of more than 4 GiB";
        case Broken::kRejected:
            return "a request without room for its answer";
        case Broken::kBadSize:
            return "the queue's size is none it can have";
    }
    return "unknown";
}

}  // namespace mynah
