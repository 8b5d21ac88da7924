#include "backend/filesystem/fuse_server.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <map>

#include "base/bits.h"

namespace mynah {
namespace {

namespace files = std::filesystem;

// A guest's kernel, one request at a time.
class FuseServerTest : public ::testing::Test {
  protected:
    void SetUp() override {
        std::string pattern = (files::temp_directory_path() / "fuse-XXXXXX").string();
        ASSERT_NE(mkdtemp(pattern.data()), nullptr);
        outside_ = pattern;
        folder_ = outside_ / "shared";
        files::create_directory(folder_);
        std::ofstream(outside_ / "secret") << "secret";
        start({});
    }
    void TearDown() override { files::remove_all(outside_); }
    void start(FuseServer::Options options) {
        server_ = FuseServer::open(folder_.string(), options, "--filesystem").take_value();
        const uint32_t init[] = {FUSE_KERNEL_VERSION, FUSE_KERNEL_MINOR_VERSION, 1 << 20, ~0u};
        ASSERT_EQ(ask(FUSE_INIT, 0, bytes(init)), 0);
    }

    template <typename T>
    static std::string bytes(const T& value) {
        return {reinterpret_cast<const char*>(&value), sizeof value};
    }
    static std::string zero(const std::string& text) { return text + '\0'; }
    // The error; the answer is in answer_.
    int ask(uint32_t opcode, uint64_t node, const std::string& arguments, size_t room = 1 << 16) {
        fuse_in_header header{};
        header.opcode = opcode;
        header.nodeid = node;
        header.unique = ++unique_;
        header.uid = getuid();
        header.gid = getgid();
        header.len = static_cast<uint32_t>(sizeof header + arguments.size());
        std::string text = bytes(header) + arguments;
        std::vector<std::byte> places(room);
        // Cut in two at an awkward place.
        SliceList request, reply;
        const auto raw = std::as_writable_bytes(std::span(text));
        const size_t cut = raw.size() / 3;
        request.append(raw.first(cut));
        std::string second(text.substr(cut));
        request.append(std::as_writable_bytes(std::span(second)));
        reply.append(places);
        const uint32_t length = server_->handle(request, reply);
        answer_.clear();
        if (length == 0) return 0;
        EXPECT_GE(length, sizeof(fuse_out_header));
        EXPECT_LE(length, room);
        const auto out = load_unaligned<fuse_out_header>(places.data());
        EXPECT_EQ(out.len, length);
        EXPECT_EQ(out.unique, unique_);
        answer_.assign(reinterpret_cast<const char*>(places.data()) + sizeof out,
                       length - sizeof out);
        return -out.error;
    }
    template <typename T>
    T answer(size_t at = 0) {
        EXPECT_GE(answer_.size(), at + sizeof(T));
        return answer_.size() < at + sizeof(T) ? T{} : load_unaligned<T>(answer_.data() + at);
    }
    uint64_t look(const std::string& name, uint64_t node = 1) {
        return ask(FUSE_LOOKUP, node, zero(name)) == 0 ? answer<fuse_entry_out>().nodeid : 0;
    }
    uint64_t open(uint64_t node, uint32_t flags) {
        fuse_open_in in{};
        in.flags = flags;
        EXPECT_EQ(ask(FUSE_OPEN, node, bytes(in)), 0);
        return answer<fuse_open_out>().fh;
    }
    int write(uint64_t handle, uint64_t offset, const std::string& text) {
        fuse_write_in in{};
        in.fh = handle;
        in.offset = offset;
        in.size = static_cast<uint32_t>(text.size());
        return ask(FUSE_WRITE, 0, bytes(in) + text);
    }
    std::string read(uint64_t handle, uint64_t offset, uint32_t size) {
        fuse_read_in in{};
        in.fh = handle;
        in.offset = offset;
        in.size = size;
        EXPECT_EQ(ask(FUSE_READ, 0, bytes(in)), 0);
        return answer_;
    }
    uint64_t create(const std::string& name, uint32_t flags = O_RDWR | O_CREAT) {
        fuse_create_in in{};
        in.flags = flags;
        in.mode = S_IFREG | 0640;
        EXPECT_EQ(ask(FUSE_CREATE, 1, bytes(in) + zero(name)), 0);
        return answer<fuse_open_out>(sizeof(fuse_entry_out)).fh;
    }
    std::map<std::string, uint64_t> list(bool plus, uint32_t size = 4096) {
        EXPECT_EQ(ask(FUSE_OPENDIR, 1, bytes(fuse_open_in{})), 0);
        fuse_read_in in{};
        in.fh = answer<fuse_open_out>().fh;
        in.size = size;
        std::map<std::string, uint64_t> names;
        for (int rounds = 0; rounds < 100; ++rounds) {
            EXPECT_EQ(ask(plus ? FUSE_READDIRPLUS : FUSE_READDIR, 1, bytes(in)), 0);
            if (answer_.empty()) break;
            for (size_t at = 0; at < answer_.size();) {
                const size_t head = plus ? FUSE_NAME_OFFSET_DIRENTPLUS : FUSE_NAME_OFFSET;
                fuse_entry_out entry{};
                if (plus) entry = answer<fuse_entry_out>(at);
                const size_t place = at + (plus ? sizeof entry : 0);
                in.offset = answer<uint64_t>(place + offsetof(fuse_dirent, off));
                const auto length = answer<uint32_t>(place + offsetof(fuse_dirent, namelen));
                names[answer_.substr(at + head, length)] = entry.nodeid;
                at += FUSE_DIRENT_ALIGN(head + length);
            }
        }
        return names;
    }

    files::path outside_, folder_;
    std::unique_ptr<FuseServer> server_;
    std::string answer_;
    uint64_t unique_ = 0;
};

TEST_F(FuseServerTest, FilesAreMadeWrittenAndRead) {
    const mode_t old = umask(077);
    const uint64_t handle = create("new");
    umask(old);
    EXPECT_EQ(write(handle, 3, "abc"), 0);
    EXPECT_EQ(answer<fuse_write_out>().size, 3u);
    EXPECT_EQ(read(handle, 0, 100), std::string("\0\0\0abc", 6));
    EXPECT_EQ(files::file_size(folder_ / "new"), 6u);
    EXPECT_EQ(files::status(folder_ / "new").permissions(), files::perms(0640));
    fuse_release_in release{};
    release.fh = handle;
    EXPECT_EQ(ask(FUSE_RELEASE, 1, bytes(release)), 0);
    EXPECT_EQ(write(handle, 0, "x"), EBADF);
}

TEST_F(FuseServerTest, NoNameLeadsOut) {
    files::create_symlink("../secret", folder_ / "link");
    files::create_directory_symlink("..", folder_ / "up");
    for (const char* name : {"..", ".", "", "../secret", "/etc/passwd", "up/secret", "a/b"})
        EXPECT_EQ(ask(FUSE_LOOKUP, 1, zero(name)), EINVAL) << name;
    // A link is a link, and neither a file nor a folder.
    const uint64_t link = look("link"), up = look("up");
    ASSERT_TRUE(link != 0 && up != 0);
    EXPECT_TRUE(S_ISLNK((ask(FUSE_LOOKUP, 1, zero("link")), answer<fuse_entry_out>().attr.mode)));
    fuse_open_in in{};
    EXPECT_EQ(ask(FUSE_OPEN, link, bytes(in)), ENXIO);
    EXPECT_EQ(ask(FUSE_OPENDIR, up, bytes(in)), ENOTDIR);
    EXPECT_EQ(ask(FUSE_LOOKUP, up, zero("secret")), ENOTDIR);
    EXPECT_EQ(ask(FUSE_READLINK, link, ""), 0);
    EXPECT_EQ(answer_, "../secret");
    fuse_create_in make{};
    make.flags = O_RDWR | O_CREAT;
    EXPECT_NE(ask(FUSE_CREATE, 1, bytes(make) + zero("link")), 0);
    EXPECT_EQ(files::file_size(outside_ / "secret"), 6u);
}

TEST_F(FuseServerTest, DevicesOfTheHostAreNotOpenedNorMade) {
    ASSERT_EQ(mkfifo((folder_ / "fifo").c_str(), 0600), 0);
    EXPECT_EQ(ask(FUSE_OPEN, look("fifo"), bytes(fuse_open_in{})), ENXIO);
    fuse_mknod_in in{};
    in.mode = S_IFBLK | 0600;
    in.rdev = 0x801;
    EXPECT_EQ(ask(FUSE_MKNOD, 1, bytes(in) + zero("disk")), EPERM);
}

TEST_F(FuseServerTest, FoldersAreListedInPieces) {
    for (int i = 0; i < 50; ++i) std::ofstream(folder_ / ("file" + std::to_string(i)));
    for (const bool plus : {false, true}) {
        const auto names = list(plus, plus ? 700 : 200);
        EXPECT_EQ(names.size(), 52u);
        EXPECT_EQ(names.contains("file7"), true);
        EXPECT_EQ(names.at("file7") != 0, plus);
        EXPECT_EQ(names.at(".."), 0u);
    }
}

TEST_F(FuseServerTest, AFileStaysItselfUnderAnotherName) {
    const uint64_t handle = create("a");
    EXPECT_EQ(write(handle, 0, "content"), 0);
    const uint64_t node = look("a");
    fuse_rename_in in{};
    in.newdir = 1;
    EXPECT_EQ(ask(FUSE_RENAME, 1, bytes(in) + zero("a") + zero("b")), 0);
    EXPECT_EQ(look("b"), node);
    EXPECT_EQ(ask(FUSE_LOOKUP, 1, zero("a")), ENOENT);
    EXPECT_EQ(ask(FUSE_UNLINK, 1, zero("b")), 0);
    EXPECT_EQ(ask(FUSE_GETATTR, node, bytes(fuse_getattr_in{})), 0);
    EXPECT_EQ(answer<fuse_attr_out>().attr.size, 7u);
    EXPECT_EQ(read(handle, 0, 10), "content");
}

TEST_F(FuseServerTest, AFileIsForgottenWhenAllLookupsAreTakenBack) {
    std::ofstream(folder_ / "a");
    const uint64_t node = look("a");
    EXPECT_EQ(look("a"), node);
    fuse_forget_in in{1};
    ask(FUSE_FORGET, node, bytes(in));
    EXPECT_EQ(ask(FUSE_GETATTR, node, bytes(fuse_getattr_in{})), 0);
    in.nlookup = 1000;
    ask(FUSE_FORGET, node, bytes(in));
    EXPECT_EQ(ask(FUSE_GETATTR, node, bytes(fuse_getattr_in{})), ENOENT);
    ask(FUSE_FORGET, 1, bytes(in));
    EXPECT_EQ(ask(FUSE_GETATTR, 1, bytes(fuse_getattr_in{})), 0);
    EXPECT_EQ(server_->known_files(), 1u);
}

TEST_F(FuseServerTest, AttributesAreChanged) {
    const uint64_t handle = create("a");
    const uint64_t node = look("a");
    fuse_setattr_in in{};
    in.valid = FATTR_MODE | FATTR_SIZE | FATTR_MTIME;
    in.mode = 0600;
    in.size = 1000;
    in.mtime = 1234567;
    EXPECT_EQ(ask(FUSE_SETATTR, node, bytes(in)), 0);
    const auto out = answer<fuse_attr_out>().attr;
    EXPECT_EQ(out.mode & 07777, 0600u);
    EXPECT_EQ(out.size, 1000u);
    EXPECT_EQ(out.mtime, 1234567u);
    EXPECT_EQ(read(handle, 0, 2000).size(), 1000u);
}

TEST_F(FuseServerTest, FoldersAndLinks) {
    fuse_mkdir_in in{0751, 0};
    EXPECT_EQ(ask(FUSE_MKDIR, 1, bytes(in) + zero("d")), 0);
    const uint64_t folder = answer<fuse_entry_out>().nodeid;
    EXPECT_EQ(ask(FUSE_SYMLINK, folder, zero("l") + zero("/anywhere")), 0);
    EXPECT_EQ(files::read_symlink(folder_ / "d" / "l"), "/anywhere");
    EXPECT_EQ(ask(FUSE_RMDIR, 1, zero("d")), ENOTEMPTY);
    create("a");
    fuse_link_in hard{look("a")};
    EXPECT_EQ(ask(FUSE_LINK, folder, bytes(hard) + zero("b")), 0);
    EXPECT_EQ(answer<fuse_entry_out>().attr.nlink, 2u);
    EXPECT_EQ(answer<fuse_entry_out>().nodeid, hard.oldnodeid);
}

TEST_F(FuseServerTest, HolesAndCopies) {
    const uint64_t a = create("a"), b = create("b");
    EXPECT_EQ(write(a, 0, std::string(10000, 'a')), 0);
    fuse_copy_file_range_in copy{};
    copy.fh_in = a;
    copy.fh_out = b;
    copy.off_in = 100;
    copy.len = 5000;
    EXPECT_EQ(ask(FUSE_COPY_FILE_RANGE, 1, bytes(copy)), 0);
    EXPECT_EQ(answer<fuse_write_out>().size, 5000u);
    EXPECT_EQ(files::file_size(folder_ / "b"), 5000u);
    fuse_lseek_in seek{};
    seek.fh = a;
    seek.whence = SEEK_HOLE;
    EXPECT_EQ(ask(FUSE_LSEEK, 1, bytes(seek)), 0);
    EXPECT_EQ(answer<fuse_lseek_out>().offset, 10000u);
    fuse_fallocate_in allocate{};
    allocate.fh = b;
    allocate.length = 20000;
    EXPECT_EQ(ask(FUSE_FALLOCATE, 1, bytes(allocate)), 0);
    EXPECT_EQ(files::file_size(folder_ / "b"), 20000u);
}

TEST_F(FuseServerTest, AReadOnlyFolderStaysAsItIs) {
    std::ofstream(folder_ / "a") << "abc";
    start({.read_only = true});
    const uint64_t node = look("a");
    fuse_open_in in{};
    in.flags = O_RDWR;
    EXPECT_EQ(ask(FUSE_OPEN, node, bytes(in)), EROFS);
    in.flags = O_RDONLY | O_TRUNC;
    EXPECT_EQ(ask(FUSE_OPEN, node, bytes(in)), EROFS);
    EXPECT_EQ(read(open(node, O_RDONLY), 0, 10), "abc");
    EXPECT_EQ(ask(FUSE_UNLINK, 1, zero("a")), EROFS);
    EXPECT_EQ(ask(FUSE_MKDIR, 1, bytes(fuse_mkdir_in{0777, 0}) + zero("d")), EROFS);
    EXPECT_EQ(files::file_size(folder_ / "a"), 3u);
}

TEST_F(FuseServerTest, NonsenseIsAnError) {
    EXPECT_EQ(ask(9999, 1, ""), ENOSYS);
    for (const uint32_t opcode : {FUSE_LOOKUP, FUSE_READ, FUSE_WRITE, FUSE_SETATTR, FUSE_CREATE,
                                  FUSE_RENAME2, FUSE_SETXATTR, FUSE_READDIR, FUSE_MKDIR})
        EXPECT_EQ(ask(opcode, 1, ""), EINVAL) << opcode;
    EXPECT_EQ(ask(FUSE_LOOKUP, 77, zero("a")), ENOENT);
    EXPECT_EQ(ask(FUSE_LOOKUP, 1, "no end"), EINVAL);
    EXPECT_EQ(ask(FUSE_LOOKUP, 1, zero(std::string(300, 'x'))), ENAMETOOLONG);
    EXPECT_EQ(ask(FUSE_STATFS, 1, "", 20), EIO);  // no place for the answer
    fuse_write_in in{};
    in.fh = create("a");
    in.size = 1000;
    EXPECT_EQ(ask(FUSE_WRITE, 1, bytes(in) + "short"), EINVAL);
}

TEST(FuseServer, AFolderThatIsNotThereIsNamed) {
    const auto server = FuseServer::open("/no/such/folder", {}, "--filesystem");
    ASSERT_FALSE(server);
    EXPECT_EQ(server.error().message(), "--filesystem: /no/such/folder: No such file or directory");
}

}  // namespace
}  // namespace mynah
