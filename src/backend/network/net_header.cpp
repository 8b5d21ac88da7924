#include "backend/network/net_header.h"

namespace mynah {

using Segmentation = FrameOffload::Segmentation;

NetHeader to_net_header(const FrameOffload& offload, uint16_t header_size) {
    NetHeader header{};
    if (offload.needs_checksum) {
        header.flags = kNetHeaderNeedsChecksum;
        header.csum_start = offload.checksum_start;
        header.csum_offset = offload.checksum_offset;
    } else if (offload.checksum_good) {
        header.flags = kNetHeaderDataValid;
    }
    if (offload.segmentation != Segmentation::kNone) {
        header.gso_type = offload.segmentation == Segmentation::kTcp4   ? kNetGsoTcp4
                          : offload.segmentation == Segmentation::kTcp6 ? kNetGsoTcp6
                                                                        : kNetGsoUdpL4;
        if (offload.ecn) header.gso_type |= kNetGsoEcn;
        header.gso_size = offload.segment_size;
        header.hdr_len = header_size;
    }
    return header;
}

bool from_net_header(const NetHeader& header, size_t frame_size, FrameOffload& offload) {
    offload = {};
    if ((header.flags & kNetHeaderNeedsChecksum) != 0) {
        offload.needs_checksum = true;
        offload.checksum_start = header.csum_start;
        offload.checksum_offset = header.csum_offset;
        if (size_t{header.csum_start} + header.csum_offset + 2 > frame_size) return false;
    } else if ((header.flags & kNetHeaderDataValid) != 0) {
        offload.checksum_good = true;
    }
    switch (header.gso_type & ~kNetGsoEcn) {
        case kNetGsoNone:
            return true;
        case kNetGsoTcp4:
            offload.segmentation = Segmentation::kTcp4;
            break;
        case kNetGsoTcp6:
            offload.segmentation = Segmentation::kTcp6;
            break;
        case kNetGsoUdpL4:
            if ((header.gso_type & kNetGsoEcn) != 0) return false;  // TCP's
            offload.segmentation = Segmentation::kUdp;
            break;
        default:
            return false;
    }
    offload.ecn = (header.gso_type & kNetGsoEcn) != 0;
    offload.segment_size = header.gso_size;
    // A segment's checksum has to be made, so it must be asked for [virtio-1.2 5.1.6.2].
    return offload.needs_checksum && header.gso_size > 0;
}

}  // namespace mynah
