#include <cstring>

#include "paravirt/virtio/gpu/virtio_gpu.h"

// The commands of the two queues [virtio-1.2 5.7.6.8, 5.7.6.10].
namespace mynah {

using namespace virtio::gpu;

namespace {

// A command's structure without its header, which is taken off already.
template <typename Command>
bool take_fields(SliceList& body, Command& command) {
    const auto bytes = std::as_writable_bytes(std::span(&command, 1));
    return body.take_front(bytes.subspan(sizeof(Header)));
}

template <typename Response>
void put(std::vector<std::byte>& answer, const Response& response) {
    const auto bytes = std::as_bytes(std::span(&response, 1));
    answer.assign(bytes.begin(), bytes.end());
}

// The list of memory behind a command; nothing: it is incomplete, or longer than anything needs.
std::optional<GpuBacking> take_backing(SliceList& body, uint32_t entries) {
    if (entries == 0 || entries > GpuBacking::kEntriesMost) return std::nullopt;
    if (body.size() < uint64_t{entries} * sizeof(MemoryEntry)) return std::nullopt;
    std::vector<MemoryEntry> list(entries);
    if (!body.take_front(std::as_writable_bytes(std::span(list)))) return std::nullopt;
    return GpuBacking(list);
}

bool lies_in(const Rectangle& part, uint32_t width, uint32_t height) {
    return part.width > 0 && part.height > 0 && part.x <= width && part.y <= height &&
           part.width <= width - part.x && part.height <= height - part.y;
}

Rect to_rect(const Rectangle& part) { return {part.x, part.y, part.width, part.height}; }

GpuPicture picture_of(const GpuResource& resource) {
    return {resource.format, resource.width, resource.height, resource.width * kPixelBytes, 0};
}

uint32_t answer_to(GpuResources::Made made) {
    switch (made) {
        case GpuResources::Made::kYes:
            return kOkNoData;
        case GpuResources::Made::kBadNumber:
            return kErrInvalidResource;
        case GpuResources::Made::kBadValue:
            return kErrInvalidParameter;
        case GpuResources::Made::kNoRoom:
            return kErrOutOfMemory;
    }
    return kErrUnspecified;
}

}  // namespace

uint32_t VirtioGpu::execute(uint32_t command, SliceList& body, const DmaView& memory,
                            Answer& answer) {
    switch (command) {
        case kGetDisplayInfo:
            return display_info(answer);
        case kGetEdid:
            return edid(body, answer);
        case kResourceCreate2d:
            return create_2d(body);
        case kResourceCreateBlob:
            return create_blob(body);
        case kResourceUnref:
            return unref(body);
        case kResourceAttachBacking:
            return attach_backing(body);
        case kResourceDetachBacking:
            return detach_backing(body);
        case kSetScanout:
            return set_scanout(body);
        case kSetScanoutBlob:
            return set_scanout_blob(body);
        case kResourceFlush:
            return flush(body);
        case kTransferToHost2d:
            return transfer(body, memory);
        default:
            return kErrUnspecified;  // of 3D, or of nothing
    }
}

uint32_t VirtioGpu::display_info(Answer& answer) const {
    DisplayInfo info{};
    info.modes[0] = {{0, 0, monitor_.preferred_width, monitor_.preferred_height}, 1, 0};
    put(answer, info);
    return kOkDisplayInfo;
}

uint32_t VirtioGpu::edid(SliceList& body, Answer& answer) const {
    GetEdid command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    if (command.scanout != 0) return kErrInvalidScanout;
    const auto block = make_edid(monitor_);
    Edid response{};
    response.size = block.size();
    std::memcpy(response.edid, block.data(), block.size());
    put(answer, response);
    return kOkEdid;
}

uint32_t VirtioGpu::create_2d(SliceList& body) {
    ResourceCreate2d command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    return answer_to(
        resources_.create(command.resource, command.format, command.width, command.height));
}

uint32_t VirtioGpu::create_blob(SliceList& body) {
    ResourceCreateBlob command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    if (command.memory != kBlobGuest) return kErrInvalidParameter;  // others are for 3D
    auto backing = take_backing(body, command.entries);
    if (!backing) return kErrInvalidParameter;
    return answer_to(resources_.create_blob(command.resource, command.size, std::move(*backing)));
}

uint32_t VirtioGpu::unref(SliceList& body) {
    ResourceOnly command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    if (!resources_.remove(command.resource)) return kErrInvalidResource;
    if (screen_.resource() == command.resource) screen_.hide();
    return kOkNoData;
}

uint32_t VirtioGpu::attach_backing(SliceList& body) {
    AttachBacking command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    GpuResource* const resource = resources_.find(command.resource);
    if (resource == nullptr) return kErrInvalidResource;
    if (resource->backing) return kErrUnspecified;
    auto backing = take_backing(body, command.entries);
    if (!backing) return kErrInvalidParameter;
    return resources_.attach(*resource, std::move(*backing)) ? kOkNoData : kErrOutOfMemory;
}

uint32_t VirtioGpu::detach_backing(SliceList& body) {
    ResourceOnly command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    GpuResource* const resource = resources_.find(command.resource);
    if (resource == nullptr) return kErrInvalidResource;
    if (!resource->backing) return kErrUnspecified;
    resources_.detach(*resource);
    return kOkNoData;
}

uint32_t VirtioGpu::set_scanout(SliceList& body) {
    SetScanout command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    if (command.scanout != 0) return kErrInvalidScanout;
    if (command.resource == 0) {
        screen_.hide();
        return kOkNoData;
    }
    const GpuResource* const resource = resources_.find(command.resource);
    if (resource == nullptr || resource->blob) return kErrInvalidResource;
    return show(command.resource, *resource, picture_of(*resource), command.part);
}

uint32_t VirtioGpu::set_scanout_blob(SliceList& body) {
    SetScanoutBlob command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    if (command.scanout != 0) return kErrInvalidScanout;
    if (command.resource == 0) {
        screen_.hide();
        return kOkNoData;
    }
    const GpuResource* const resource = resources_.find(command.resource);
    if (resource == nullptr || !resource->blob) return kErrInvalidResource;
    const GpuPicture picture{command.format, command.width, command.height, command.strides[0],
                             command.offsets[0]};
    return show(command.resource, *resource, picture, command.part);
}

uint32_t VirtioGpu::show(uint32_t number, const GpuResource& resource, const GpuPicture& picture,
                         const Rectangle& part) {
    const uint64_t bytes = resource.blob ? resource.blob_size : resource.pixels.size();
    if (!picture.lies_in(bytes) || !lies_in(part, picture.width, picture.height) ||
        uint64_t{part.width} * part.height > GpuScreen::kPixelsMost) {
        return kErrInvalidParameter;
    }
    screen_.show(number, picture, to_rect(part));
    shows_ = true;
    return kOkNoData;
}

uint32_t VirtioGpu::flush(SliceList& body) {
    ResourceFlush command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    const GpuResource* const resource = resources_.find(command.resource);
    if (resource == nullptr) return kErrInvalidResource;
    if (!resource->blob && !lies_in(command.part, resource->width, resource->height))
        return kErrInvalidParameter;
    if (screen_.resource() == command.resource) screen_.flush(to_rect(command.part));
    return kOkNoData;
}

// Row after row: `offset` is where the rectangle's first row begins in the backing, and the rows
// lie as far apart there as here.
uint32_t VirtioGpu::transfer(SliceList& body, const DmaView& memory) {
    TransferToHost2d command{};
    if (!take_fields(body, command)) return kErrInvalidParameter;
    GpuResource* const resource = resources_.find(command.resource);
    if (resource == nullptr || resource->blob) return kErrInvalidResource;
    if (!resource->backing) return kErrUnspecified;
    const Rectangle& part = command.part;
    if (!lies_in(part, resource->width, resource->height)) return kErrInvalidParameter;
    const uint64_t stride = uint64_t{resource->width} * kPixelBytes;
    const uint64_t row = uint64_t{part.width} * kPixelBytes;
    const uint64_t span = stride * (part.height - 1) + row;
    const uint64_t there = resource->backing->size();
    if (command.offset > there || span > there - command.offset) return kErrInvalidParameter;
    const std::span<std::byte> pixels(resource->pixels);
    for (uint64_t y = 0; y < part.height; ++y) {
        const uint64_t to = stride * (part.y + y) + uint64_t{part.x} * kPixelBytes;
        if (!resource->backing->read(memory, command.offset + stride * y, pixels.subspan(to, row)))
            return kErrUnspecified;
    }
    return kOkNoData;
}

// --- The cursor.

std::vector<uint32_t> VirtioGpu::cursor_image(const GpuResource& resource, const DmaView& memory) {
    GpuPicture picture = picture_of(resource);
    if (resource.blob)
        picture = {kB8G8R8A8, kCursorSize, kCursorSize, kCursorSize * kPixelBytes, 0};
    const uint64_t bytes = resource.blob ? resource.blob_size : resource.pixels.size();
    if (picture.width != kCursorSize || picture.height != kCursorSize || !picture.lies_in(bytes))
        return {};
    std::vector<uint32_t> image(size_t{kCursorSize} * kCursorSize);
    std::vector<std::byte> row;
    for (uint32_t y = 0; y < kCursorSize; ++y) {
        read_gpu_row(resource, picture, memory, 0, y, row,
                     std::span(image).subspan(size_t{y} * kCursorSize, kCursorSize));
    }
    return image;
}

void VirtioGpu::handle_cursor(VirtioQueue& queue, DescriptorChain& chain) {
    Cursor command{};
    if (!chain.readable.take_front(std::as_writable_bytes(std::span(&command, 1)))) return;
    if (command.scanout != 0) return;
    MutexLock lock(mutex_);
    if (command.header.type != kUpdateCursor && command.header.type != kMoveCursor) return;
    screen_.move_cursor(static_cast<int32_t>(command.x), static_cast<int32_t>(command.y));
    if (command.header.type != kUpdateCursor) return;
    const GpuResource* const resource = resources_.find(command.resource);
    screen_.set_cursor(resource == nullptr ? std::vector<uint32_t>()
                                           : cursor_image(*resource, queue.memory()));
}

}  // namespace mynah
